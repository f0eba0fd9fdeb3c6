"""The user of a connection: look the user up, log in, log out.

Django's own functions do the work, with a request that is built from the scope. Over a WebSocket
the session's key is the difficulty: a login has to give the session a new key, and the cookie can
change only until the handshake is answered. `_auth/session_proxies.py` has the sessions for the
time after that.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import LazyObject, empty

from channels_auth._scope import (
    add_cookies,
    cookie_can_change,
    is_unresolved,
    session_of,
    set_user,
    user_of,
)
from channels_auth._session_storage import keeps_data_in_cookie
from channels_auth.cookies import CookieMiddleware
from channels_auth.sessions import SessionMiddlewareStack
from channels_core.applications import first_step
from channels_core.exceptions import ChannelsError
from channels_core.middleware import BaseMiddleware, at_once
from channels_core.typing import AnyScope, Receive, Scope, Send

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    from channels_auth.disconnection import EndsWithLoginMiddleware, disconnect_user
    from channels_auth.guards import login_required, permission_required
    from channels_auth.login_tokens import (
        InvalidLoginToken,
        alogin_with_token,
        create_login_token,
        login_with_token,
    )
    from channels_auth.tokens import (
        FirstMessageToken,
        HeaderToken,
        QueryToken,
        SubprotocolToken,
        TokenAuthenticator,
        TokenAuthMiddleware,
        TokenSource,
    )

__all__ = [
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "EndsWithLoginMiddleware",
    "FirstMessageToken",
    "HeaderToken",
    "InvalidLoginToken",
    "LoginOnOpenConnectionError",
    "LogoutOnOpenConnectionError",
    "QueryToken",
    "SubprotocolToken",
    "TokenAuthMiddleware",
    "TokenAuthenticator",
    "TokenSource",
    "UserLazyObject",
    "alogin_with_token",
    "create_login_token",
    "disconnect_user",
    "get_user",
    "login",
    "login_required",
    "login_with_token",
    "logout",
    "permission_required",
]


#: The modules of names that few programs need; each is imported when one of its names is used.
_OTHERS: Final = {
    "EndsWithLoginMiddleware": "disconnection",
    "FirstMessageToken": "tokens",
    "HeaderToken": "tokens",
    "InvalidLoginToken": "login_tokens",
    "QueryToken": "tokens",
    "SubprotocolToken": "tokens",
    "TokenAuthMiddleware": "tokens",
    "TokenAuthenticator": "tokens",
    "TokenSource": "tokens",
    "alogin_with_token": "login_tokens",
    "create_login_token": "login_tokens",
    "disconnect_user": "disconnection",
    "login_required": "guards",
    "login_with_token": "login_tokens",
    "permission_required": "guards",
}

if not TYPE_CHECKING:  # pragma: no branch - a type checker would accept any name otherwise

    def __getattr__(name: str) -> Any:
        """Load a name from its module (PEP 562); not kept here, so that a patch there counts."""
        if name not in _OTHERS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"channels_auth.{_OTHERS[name]}"), name)

    def __dir__() -> list[str]:
        """Include the names that are not loaded yet."""
        return sorted({*globals(), *__all__})


_CSRF_MIDDLEWARE: Final = "django.middleware.csrf.CsrfViewMiddleware"


class LoginOnOpenConnectionError(ChannelsError, RuntimeError):
    """`login` would have to change the cookie of a connection that is already open."""


class LogoutOnOpenConnectionError(ChannelsError, RuntimeError):
    """`logout` would have to change the cookie of a connection that is already open."""


async def get_user(scope: AnyScope) -> AbstractBaseUser | AnonymousUser:
    """Return the user of the connection's session.

    This is Django's `get_user`: it verifies the session's hash, falls back to
    `SECRET_KEY_FALLBACKS`, and flushes a session whose hash is wrong. A visitor without a session
    costs nothing. Otherwise one thread reads both the session and the user, and its database
    connections are closed according to `CONN_MAX_AGE`. If the session's backend has an `aget_user`
    of its own, Django's `aget_user` is called instead.

    Over a WebSocket, a session that was verified with a fallback secret keeps its key, which an
    HTTP request would renew; its hash is renewed all the same.

    Scope:
        `session` is read.

    Returns:
        The user, or `AnonymousUser`.

    Raises:
        ValueError: The scope has no session.

    Source: `django.contrib.auth.get_user`.
    """
    session = session_of(scope)
    if _is_anonymous_without_query(session):
        return _anonymous()
    # Loaded with the first user or login, as in the functions below.
    from channels_auth._auth.request import request_from_scope
    from channels_auth._auth.session_proxies import SessionKeepingKey
    from channels_core.db import aclose_old_connections, look_up

    # A lookup must not lose the session. Whether the browser of a WebSocket would receive a new
    # key is not known yet: the handshake may be refused.
    keeps_key = scope.get("type") == "websocket" or not cookie_can_change(scope)
    request = request_from_scope(scope, SessionKeepingKey(session) if keeps_key else session)
    try:
        if not await _has_async_backend(session):
            return await look_up(auth.get_user, request)
        try:
            return await auth.aget_user(request)
        finally:
            await aclose_old_connections()
    finally:
        # They hold the request, so that each connection would leave a circle of 19 objects.
        del request.user, request.auser


async def login(scope: AnyScope, user: AbstractBaseUser | None, backend: str | None = None) -> None:
    """Log a user in, as Django's `login` does.

    Until the connection is accepted (or a response has begun), the session's new key is sent with
    the answer, if the server sends the headers of an accepted handshake (ASGI 2.1; Daphne does
    not). After that the cookie cannot change. The call then succeeds only if the session is this
    user's already. Otherwise the session would keep its key while its user changes, and an
    attacker who knows the key may have planted it (session fixation).

    Scope:
        `session` is changed, `user` is set.

    Args:
        scope: The connection's scope: `self.scope` in a consumer.
        user: The user to log in; None for the user in the scope.
        backend: The authentication backend's path; required if the settings have several and the
            user does not come from `authenticate`.

    Raises:
        LoginOnOpenConnectionError: The session would need a new key, and the connection is open.
            Nothing has changed. The message shows the solution: `create_login_token`.
        ValueError: The scope has no session, there is no user, or the backend is ambiguous.

    Source: `django.contrib.auth.login`.
    """
    from channels_auth._auth.request import request_from_scope
    from channels_auth._auth.session_proxies import SessionRefusingNewKey
    from channels_core.db import database_sync_to_async

    session = session_of(scope)
    who: Any = scope.get("user") if user is None else user
    if getattr(who, "is_anonymous", who is None):
        raise ValueError("User must be passed as an argument or must be present in the scope.")
    if not cookie_can_change(scope):
        session = SessionRefusingNewKey(session, _login_error())
    request = request_from_scope(scope, session, who)
    # One call in one thread, so that its queries and the receivers of the signal can share a
    # transaction.
    cookies = await database_sync_to_async(_login)(request, who, backend)
    add_cookies(scope, cookies)
    await set_user(scope, request.user)


async def logout(scope: AnyScope) -> None:
    """Log the user out and flush the session, as Django's `logout` does.

    On an open connection the session is deleted on the server, and the client's cookie becomes
    useless. Django's signal `user_logged_out` is sent if the user in the scope is logged in.

    Scope:
        `session` is flushed, `user` becomes `AnonymousUser` if there is one.

    Args:
        scope: The connection's scope: `self.scope` in a consumer.

    Raises:
        LogoutOnOpenConnectionError: The session is stored in the cookie (`signed_cookies`), and
            the connection is open, so the client would stay logged in. Nothing has changed.
        ValueError: The scope has no session.

    Source: `django.contrib.auth.logout`.
    """
    from channels_core.db import database_sync_to_async

    session = session_of(scope, "Login cannot find")
    if not cookie_can_change(scope) and keeps_data_in_cookie(session):
        raise LogoutOnOpenConnectionError(
            "logout() cannot reach a session that is kept in the client's cookie "
            "(SESSION_ENGINE is signed_cookies): the cookie of an open connection cannot change. "
            "Have the client log out over HTTP, or use a SESSION_ENGINE that keeps sessions on the "
            "server."
        )
    if scope.get("user") is None:
        await database_sync_to_async(session.flush)()
    else:
        from channels_auth._auth.request import request_from_scope

        request = request_from_scope(scope, session, user_of(scope))
        await database_sync_to_async(_logout)(request)
    if "user" in scope:
        await set_user(scope, _anonymous())


@cache
def _models() -> Any:
    # Loaded with the first user: it imports models.
    from django.contrib.auth import models

    return models


def _anonymous() -> AnonymousUser:
    user: AnonymousUser = _models().AnonymousUser()
    return user


def _is_anonymous_without_query(session: Any) -> bool:
    """Return whether a session is known to have no user without a query."""
    is_known = getattr(session, "session_key", None) is None or hasattr(session, "_session_cache")
    if not is_known:
        from channels_auth._sessions.engine import loads_at_once  # loaded with the first session

        is_known = loads_at_once(session)
    return is_known and auth.SESSION_KEY not in session


async def _has_async_backend(session: Any) -> bool:
    """Return whether the backend of a session's login has an `aget_user` of its own."""
    from channels_auth._async_backends import is_natively_async

    if not any(map(is_natively_async, auth.get_backends())):
        return False
    path = await session.aget(auth.BACKEND_SESSION_KEY)
    return path in settings.AUTHENTICATION_BACKENDS and is_natively_async(auth.load_backend(path))


def _login(request: HttpRequest, user: Any, backend: str | None) -> SimpleCookie:
    """Log in, and return the cookies that Django's CSRF protection sets after a login."""
    auth.login(request, user, backend)
    response = HttpResponse()
    if settings.CSRF_USE_SESSIONS or _CSRF_MIDDLEWARE in settings.MIDDLEWARE:
        # As after a view: an attacker who knew the secret before the login must not know the new.
        CsrfViewMiddleware(lambda _: response).process_response(request, response)
    return response.cookies


def _logout(request: Any) -> None:
    if getattr(request.user, "is_authenticated", True):
        auth.logout(request)
    else:
        # The user is anonymous. Django would send its signal with the user None.
        request.session.flush()


def _login_error() -> LoginOnOpenConnectionError:
    return LoginOnOpenConnectionError(
        "login() has to give this session a new key, because an attacker may have planted the old "
        "key (session fixation), and the cookie cannot change any more: the connection is "
        "open, or the server sends no cookies with a handshake, such as Daphne. "
        "Send create_login_token(user) to the client, have it POST the token to a view that calls "
        "login_with_token(request, token), and let it connect again."
    )


if TYPE_CHECKING:
    # For type checkers it has the attributes that all users have.
    class _LazyUser(AbstractBaseUser, LazyObject[Any]): ...

else:
    _LazyUser = LazyObject


class UserLazyObject(_LazyUser):
    """Take the place of the user in a scope until `AuthMiddleware` has looked the user up."""

    # `object.__setattr__` here and below: through Django's proxy, setting and reading these
    # attributes takes 4 us of each connection.
    def __init__(self) -> None:
        object.__setattr__(self, "_wrapped", empty)

    def _setup(self) -> None:
        raise ValueError("Accessing scope user before it is ready.")

    # As in Django, which reads `_wrapped` through the proxy: 0.7 us for each attribute of the user.
    def __getattr__(self, name: str) -> Any:
        wrapped = object.__getattribute__(self, "_wrapped")
        if wrapped is empty:
            self._setup()
            wrapped = self._wrapped
        return getattr(wrapped, name)

    # Django's own mark of what is not an attribute of the user.
    vars(__getattr__)["_mask_wrapped"] = False

    def __repr__(self) -> str:
        """Describe the user; unlike any other access, this raises no error, for tracebacks."""
        user = "not ready" if is_unresolved(self) else repr(self._wrapped)
        return f"<UserLazyObject: {user}>"


def _has_user(scope: Scope) -> bool:
    """Return whether a connection has a client, or its scope has a session."""
    return "session" in scope or scope.get("type", "http") in {"http", "websocket"}


class AuthMiddleware(BaseMiddleware):
    """Put the user of the session into the scope, before the application inside runs.

    A user who is in the scope already is kept without a query. A test, another middleware or an
    outer AuthMiddleware may have put the user there.

    Scope:
        `session` is read; `user` is added, a `UserLazyObject` around the user.
    """

    def populate_scope(self, scope: AnyScope) -> None:
        """Add a placeholder for the user, without looking the user up.

        Raises:
            ValueError: The scope has no session.
        """
        if "session" not in scope:
            raise ValueError(
                "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it."
            )
        if "user" not in scope:
            scope["user"] = UserLazyObject()

    async def resolve_scope(self, scope: AnyScope) -> None:
        """Look the user up."""
        user = scope["user"]
        if issubclass(type(user), UserLazyObject) and is_unresolved(user):
            object.__setattr__(user, "_wrapped", await get_user(scope))

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve one connection.

        Scopes without a session that are neither `http` nor `websocket` are passed on unchanged.

        Args:
            scope: The connection's scope; the caller's dict is not changed.
            receive: ASGI receive.
            send: ASGI send.

        Raises:
            ValueError: The scope has no session.
        """
        scope = dict(scope)
        kind = type(self)
        if (
            kind is not AuthMiddleware
            or get_user is not _GET_USER
            or kind.populate_scope is not _POPULATE
            or kind.resolve_scope is not _RESOLVE
            or BaseMiddleware.__call__ is not _CALL
            or not _REPLACEABLE.isdisjoint(vars(self))
        ):
            return self._channels_look_up(scope, receive, send)
        if _has_user(scope):
            # Only for an anonymous visitor: without the three coroutines of a lookup, which take
            # 3 us of each connection, and 0.25 KiB while it lasts.
            if (
                "user" in scope
                or "session" not in scope
                or not _is_anonymous_without_query(scope["session"])
            ):
                return self._channels_look_up(scope, receive, send)
            user = scope["user"] = UserLazyObject()
            object.__setattr__(user, "_wrapped", _anonymous())
        application: Any = self.inner
        served: Coroutine[Any, Any, Any] = application(scope, receive, send)
        return served

    async def _channels_look_up(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Look the user up, and serve the connection."""
        if _has_user(scope):
            self.populate_scope(scope)
            await self.resolve_scope(scope)
        inside = super().__call__(scope, receive, send)
        # The application inside has a copy, so an idle connection need not keep this one as well.
        del scope
        return await inside

    def _channels_first_step(self, scope: AnyScope) -> Any:
        scope = dict(scope)
        if not _has_user(scope):
            return first_step(self.inner, scope)
        self.populate_scope(scope)
        # The application inside is created now, before the lookup, as in Channels 2.
        return partial(self.coroutine_call, first_step(self.inner, scope), scope)


# Programs, and tests of programs, may replace each of them.
_GET_USER: Final = get_user
_POPULATE: Final = AuthMiddleware.populate_scope
_RESOLVE: Final = AuthMiddleware.resolve_scope
_CALL: Final = BaseMiddleware.__call__
_REPLACEABLE: Final = frozenset({"populate_scope", "resolve_scope"})


def AuthMiddlewareStack(  # noqa: N802 - programs know this name
    inner: Any, *, ends_with_login: bool = False, revalidate_every: float | None = None
) -> CookieMiddleware:
    """Wrap an application in middleware that puts cookies, session and user into its scope.

    Args:
        inner: An ASGI 3 application, a router, a consumer class, or a two-step application.
        ends_with_login: Whether a WebSocket is closed when its user is logged out, changes the
            password or is deactivated: see `EndsWithLoginMiddleware`.
        revalidate_every: Seconds between two checks that the login is still valid. It requires
            `ends_with_login`.

    Raises:
        ValueError: `revalidate_every` is given without `ends_with_login`.
    """
    if ends_with_login:
        from channels_auth.disconnection import EndsWithLoginMiddleware

        inner = EndsWithLoginMiddleware(inner, revalidate_every=revalidate_every)
    elif revalidate_every is not None:
        raise ValueError(
            "revalidate_every needs ends_with_login=True, which closes the connections."
        )
    return SessionMiddlewareStack(AuthMiddleware(inner))
