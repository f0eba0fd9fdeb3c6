"""Routers: pass a connection to its application by protocol, path or channel."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from functools import cache, cached_property
from importlib import import_module
from typing import Any, ClassVar, Final, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from channels_core._routing.index import (
    Match,
    MergedTable,
    Route,
    RouteTable,
    Tried,
    make_route,
    shown,
    some_of,
)
from channels_core._scope import PATH_REMAINING, URL_ROUTE
from channels_core._two_step import Application, at_once, first_step
from channels_core.applications import as_asgi3, record_passed
from channels_core.exceptions import RouteNotFound
from channels_core.typing import AnyScope, ASGIApplication, Receive, Scope, Send

__all__ = [
    "ChannelNameRouter",
    "ProtocolTypeRouter",
    "URLRouter",
    "get_default_application",
    "route_pattern_match",
]

#: The scope types with a client that can be answered.
_ANSWERED: Final = frozenset({"http", "websocket"})


@cache
def _outermost() -> Any:
    # Loaded with the first connection. A second import statement would take 0.3 us.
    from channels_core._routing import outermost

    return outermost


def get_default_application() -> ASGIApplication:
    """Return the application that the setting `ASGI_APPLICATION` names.

    Raises:
        ImproperlyConfigured: The setting is missing, or its application cannot be imported.
    """
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not isinstance(name, str) or "." not in name:
        raise ImproperlyConfigured(
            "Cannot find ASGI_APPLICATION setting: it should be the dotted path of your "
            f'application, such as "mysite.asgi.application", and is {name!r}'
        )
    module_name, _, attribute = name.rpartition(".")
    try:
        module = import_module(module_name)
    except ImportError as error:
        failed = ImproperlyConfigured(
            f"Cannot import ASGI_APPLICATION module {module_name!r}: {error}"
        )
        # Django's autoreloader watches the file at which the traceback ends. It has to be the file
        # with the error, since a module that failed to import is not in `sys.modules`.
        raise failed.with_traceback(error.__traceback__) from error.with_traceback(None)
    try:
        application = getattr(module, attribute)
    except AttributeError as error:
        raise ImproperlyConfigured(
            f"Cannot find {attribute!r} in ASGI_APPLICATION module {module_name!r}"
        ) from error
    return as_asgi3(application)


class ProtocolTypeRouter(Application):
    """Pass a connection to the application for its protocol; the outermost router.

    It also answers errors that clients cause, each with one warning under
    `django.channels.routing`: a path without a route gets status 404 (or the WebSocket is closed,
    if the server cannot send a status), and a frame that a consumer cannot read closes the
    WebSocket.

    Attributes:
        application_mapping: The given applications by scope type.
    """

    def __init__(
        self,
        application_mapping: Mapping[str, Any],
        *,
        on_startup: Iterable[Callable[[], Any]] = (),
        on_shutdown: Iterable[Callable[[], Any]] = (),
    ) -> None:
        """Take the applications.

        Args:
            application_mapping: Applications by scope type, for example `http` and `websocket`.
                Without `http`, Django's own application serves it; without `lifespan`, the
                server's start and end are acknowledged.
            on_startup: Functions or coroutine functions without arguments, called in turn before
                the server accepts connections; if one fails, the server does not start. Ordinary
                functions run in a thread, where they may use the database.
            on_shutdown: The same for the server's end; each is called even if another fails.

        Raises:
            ImproperlyConfigured: There are functions for the start or the end, and an application
                for `lifespan` as well, which would get these events instead.
            TypeError: An application or a function is not callable.
        """
        self.application_mapping: dict[str, ASGIApplication] = {
            kind: as_asgi3(application) for kind, application in application_mapping.items()
        }
        self._on_startup = _checked("on_startup", on_startup)
        self._on_shutdown = _checked("on_shutdown", on_shutdown)
        if "lifespan" in self.application_mapping and (self._on_startup or self._on_shutdown):
            raise ImproperlyConfigured(
                "on_startup and on_shutdown would not be called, since there is an application "
                "for 'lifespan'; call them there, or leave it out"
            )

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve one connection.

        Scope:
            `type` selects the application.

        Raises:
            RouteNotFound: The type has no application; a `ValueError`.
            KeyError: The scope has no type.
        """
        application = self._application_for(scope)
        if scope["type"] in _ANSWERED:
            served: Coroutine[Any, Any, Any] = _outermost().serve(application, scope, receive, send)
            return served
        return cast(Coroutine[Any, Any, Any], application(scope, receive, send))

    def _channels_first_step(self, scope: AnyScope) -> Any:
        application = self._application_for(scope)
        if scope["type"] in _ANSWERED:
            return _outermost().serve_in_two_steps(application, scope)
        return first_step(application, scope)

    def _application_for(self, scope: Scope) -> ASGIApplication:
        kind = scope["type"]
        application = self.application_mapping.get(kind) or self._defaults.get(kind)
        if application is None:
            raise _explained(
                RouteNotFound(f"No application configured for scope type {kind!r}"),
                f"There is one for each of: {shown(map(repr, self._all_applications()))}",
            )
        return application

    def _all_applications(self) -> dict[str, ASGIApplication]:
        """Return the applications by scope type, the given ones first, then the default ones."""
        return {**self.application_mapping, **self._defaults, **self.application_mapping}

    # Not in the mapping: programs compare its keys with those they gave.
    @cached_property
    def _defaults(self) -> dict[str, ASGIApplication]:
        """The applications for what the program has none for."""
        # Loaded with the first use: a process that imports a site need not serve it.
        from channels_core._routing.defaults import DjangoApplication, Lifespan

        return {
            "lifespan": Lifespan(self._on_startup, self._on_shutdown),
            "http": DjangoApplication(),
        }


def _checked(name: str, functions: Iterable[Callable[[], Any]]) -> list[Callable[[], Any]]:
    checked = [] if callable(functions) else list(functions)
    if callable(functions) or not all(map(callable, checked)):
        raise TypeError(f"{name} takes a list of callables without arguments, not {functions!r}")
    return checked


class _NoRoute(RouteNotFound):
    """No route of a `URLRouter` matches; one around it may have another that does.

    Clients ask for many paths that are not there, and a router around this one catches the error.
    So the error finds out its text, and what was tried, when somebody reads it. Without an
    `__init__`, it costs half as much: 0.6 us less for a path without a route.
    """

    #: Whether an application raised it to which a route had led, so no other route is tried.
    passed_an_application = False

    @cached_property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override] # can be set, as an attribute can
        path, *_ = super().args
        return (f"No route found for path {path!r}.",)

    def __str__(self) -> str:
        return str(RouteNotFound(*self.args))

    def __repr__(self) -> str:
        return repr(RouteNotFound(*self.args))

    def __reduce__(self) -> tuple[Any, ...]:
        """Become a `RouteNotFound` with the same notes in another process, as of a test runner."""
        return RouteNotFound, self.args, {"__notes__": self.__notes__}

    @cached_property
    def tried(self) -> Tried:
        """What was tried; the error is made with the path, the table, and the errors inside."""
        path, table, failures = super().args
        tried = {position: error.tried for position, error in failures.items()}
        told: Tried = table.tried(path, tried)
        return told

    # Read by `traceback` and by `add_note`, like the list that `add_note` makes.
    @cached_property
    def __notes__(self) -> list[str]:  # type: ignore[override] # can be set, as an attribute can
        return [self.tried.note]


class _OutsideRoot(_NoRoute):
    """The path is not below the `root_path` of its scope."""

    @cached_property
    def tried(self) -> Tried:
        """What was tried; the error is made with the path and the root."""
        _, root = super(_NoRoute, self).args
        return Tried(f"It is not below the root_path {root!r}")


class URLRouter(Application):
    """Pass a connection to the application for its path, by Django's `path()` and `re_path()`.

    The "view" of a route is an ASGI application, a consumer class, or another `URLRouter`
    (perhaps inside middleware), which then routes the rest of the path. If that router has no
    matching route, the next route here is tried. Paths are matched without their leading slash.

    Attributes:
        routes: The routes that were given.
    """

    #: For routers around this one: it routes the rest of the path.
    _path_routing: ClassVar[bool] = True

    def __init__(self, routes: Iterable[Any]) -> None:
        """Take the routes.

        Args:
            routes: Results of `path()` and `re_path()`; the first one that matches counts.

        Raises:
            ImproperlyConfigured: One of them is something else, such as `include()`.
            TypeError: The view of one is not an application.
        """
        self.routes: list[Any] = list(routes)
        self._table = RouteTable([make_route(route) for route in self.routes])
        # Only for exactly this class: a subclass may serve in its own way.
        inner = {
            position: route.application._merged or route.application._table
            for position, route in enumerate(self._table.given)
            if type(route.application) is URLRouter
        }
        #: The same with the routes of routers inside; None if there are none.
        self._merged: RouteTable | None = MergedTable(self._table, inner) if inner else None

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve one connection.

        Scope:
            `path` is routed, without `root_path` at its start; a router inside another one routes
            `path_remaining`. The captured values are added as `url_route`, a dict of `args` and
            `kwargs`, with those of the outer router first.

        Raises:
            RouteNotFound: No route matches; a `ValueError`.
            ValueError: The scope has no path.
        """
        # Most connections need only a part of `_path_to_route` and of `_inner_scope`. That part is
        # here, since each call costs 2 % of all of this.
        whole: str | None = scope.get("path")
        if whole is None or PATH_REMAINING in scope or scope.get("root_path"):
            path = _path_to_route(scope)
        else:
            path = whole.lstrip("/")
        table = self._table if self._merged is None else self._table_for(path)
        for position in table.candidates(path):
            route = table.routes[position]
            match = route.pattern.match(path)
            if match is not None:
                if route.is_prefix:
                    return _try_routes(table, path, scope, receive, send)
                if URL_ROUTE in scope or route.default_args or not route.gives_own:
                    inner = _inner_scope(scope, match, route)
                else:
                    # Two more items in one display would be merged by way of another dict.
                    inner = {**scope}
                    inner[PATH_REMAINING], args, kwargs = match
                    inner[URL_ROUTE] = {"args": args, "kwargs": kwargs}
                # Any: a coroutine function, if it is called here.
                application: Any = route.application
                if route.records_passed or (route.is_async and not _tries_others.get()):
                    served: Coroutine[Any, Any, Any] = application(inner, receive, send)
                    return served
                return _serve_last(application, inner, receive, send)
        return _fail(path, table)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        path = _path_to_route(scope)
        table = self._table if self._merged is None else self._table_for(path)
        failures: dict[int, _NoRoute] = {}
        for position in table.candidates(path):
            route = table.routes[position]
            match = route.pattern.match(path)
            if match is not None:
                try:
                    return first_step(route.application, _inner_scope(scope, match, route))
                except _NoRoute as error:
                    failures[position] = _passed_over(error, route)
        raise _NoRoute(path, table, failures)

    def _table_for(self, path: str) -> RouteTable:
        if self._merged is None or "//" in path or URLRouter.__call__ is not _CALL:
            return self._table
        return self._merged


#: Programs may replace the method, and count on each router being called.
_CALL: Final = URLRouter.__call__


#: Whether a router around tries another route after the error of a router inside. Without one, it
#: makes no difference whether that error has passed an application.
_tries_others: Final = ContextVar("_tries_others", default=False)


async def _fail(path: str, table: RouteTable) -> Any:
    """Fail for a path without a route; raised only here, an error costs half as much."""
    raise _NoRoute(path, table, {})


async def _serve_last(
    application: ASGIApplication, scope: Scope, receive: Receive, send: Send
) -> Any:
    """Serve a connection by a route after which no other one is tried.

    A coroutine of its own, since this is what an idle connection keeps.
    """
    inside = application(scope, receive, send)
    del scope
    try:
        return await inside
    except _NoRoute as error:
        record_passed(error)
        raise


async def _try_routes(
    table: RouteTable, path: str, scope: Scope, receive: Receive, send: Send
) -> Any:
    """Serve a connection by the first route that leads to an application."""
    failures: dict[int, _NoRoute] = {}
    # Not kept as a token, which holds the context too.
    before = _tries_others.get()
    _tries_others.set(True)
    try:
        for position in table.candidates(path):
            route = table.routes[position]
            match = route.pattern.match(path)
            if match is not None:
                application: ASGIApplication = route.application
                try:
                    return await application(_inner_scope(scope, match, route), receive, send)
                except _NoRoute as error:
                    failures[position] = _passed_over(error, route)
    finally:
        _tries_others.set(before)
    raise _NoRoute(path, table, failures)


def _passed_over(error: _NoRoute, route: Route) -> _NoRoute:
    """Return the error of a route's application if the next route may be tried; else raise it."""
    if error.passed_an_application or not route.is_prefix:
        error.passed_an_application = True
        raise error
    return error


def _path_to_route(scope: Scope) -> str:
    """Return the part of the path that is still to be routed, without leading slashes."""
    if PATH_REMAINING in scope:
        path: str | None = scope[PATH_REMAINING]
        root = None
    else:
        path, root = scope.get("path"), scope.get("root_path")
    if path is None:
        raise ValueError("No 'path' key in connection scope, cannot route URLs")
    if root and (root := root.rstrip("/")):
        if path != root and not path.startswith(f"{root}/"):
            raise _OutsideRoot(path, root)
        path = path.removeprefix(root)
    return path.lstrip("/")


def _inner_scope(scope: Scope, match: Match, route: Route) -> Scope:
    remaining, args, kwargs = match
    if outer := scope.get(URL_ROUTE):
        args = (*outer.get("args", ()), *args)
        kwargs = {**outer.get("kwargs", {}), **kwargs}
    return {
        **scope,
        PATH_REMAINING: remaining,
        URL_ROUTE: {"args": tuple(args), "kwargs": {**kwargs, **route.default_args}},
    }


def _explained(error: ValueError, note: str) -> ValueError:
    """Add a note to an error, whose text programs compare, and return it."""
    error.add_note(note)
    return error


def route_pattern_match(
    route: Any, path: str
) -> tuple[str, tuple[Any, ...], dict[str, Any]] | None:
    """Match a path against a route in the way that Django does.

    Args:
        route: The result of `path()` or `re_path()`.
        path: The path without its leading slash.

    Returns:
        The rest of the path, the positional and the keyword arguments; None if it does not match.
    """
    match: tuple[str, tuple[Any, ...], dict[str, Any]] | None = route.pattern.match(path)
    return match


class ChannelNameRouter(Application):
    """Pass the messages of a channel to the application for its name; for workers.

    Attributes:
        application_mapping: Applications by channel name.
    """

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        """Take the applications.

        Args:
            application_mapping: Applications or consumer classes by channel name.
        """
        self.application_mapping: dict[str, ASGIApplication] = {
            name: as_asgi3(application) for name, application in application_mapping.items()
        }

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one channel.

        Scope:
            `channel` selects the application.

        Raises:
            RouteNotFound: The name has no application; a `ValueError`.
            ValueError: The scope has no channel.
        """
        return await self._application_for(scope)(scope, receive, send)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        return first_step(self._application_for(scope), scope)

    def _application_for(self, scope: Scope) -> ASGIApplication:
        if "channel" not in scope:
            raise _explained(
                ValueError(
                    "ChannelNameRouter got a scope without a 'channel' key. Did you make sure "
                    "it's only being used for 'channel' type messages?"
                ),
                f"The type of this scope is {scope.get('type')!r}.",
            )
        application = self.application_mapping.get(scope["channel"])
        if application is None:
            names = list(self.application_mapping)
            raise _explained(
                RouteNotFound(f"No application configured for channel name {scope['channel']!r}"),
                f"There is one for each of: {some_of(names)}",
            )
        return application
