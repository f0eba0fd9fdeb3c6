"""The base of middleware: wrap an application, and add to its scope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, ClassVar

from channels_core._scope import AFTER_HANDLER, AfterHandler
from channels_core._two_step import Application, at_once, first_step, takes
from channels_core.applications import as_asgi3
from channels_core.typing import AnyScope, ASGIApplication, Receive, Send

__all__ = ["BaseMiddleware", "after_each_handler", "at_once", "forget_after_each_handler"]


def after_each_handler(scope: AnyScope, function: AfterHandler) -> None:
    """Have the consumer inside call a function after each of its handlers.

    The function is called in the event loop, after each handler of a message from the client or
    the channel layer that ended without an error, before the next one starts; and once more after
    `disconnect`, however the connection ended.

    Args:
        scope: The scope that the middleware passes on: its own copy, which is changed.
        function: Called without arguments. It returns an awaitable, or None if there is nothing
            to do. Since it runs for each message, it should decide that quickly; an ordinary
            function that returns a coroutine costs the least.
    """
    scope[AFTER_HANDLER] = (*scope.get(AFTER_HANDLER, ()), function)


def forget_after_each_handler(scope: AnyScope) -> None:
    """Take the functions of `after_each_handler` out of a scope, once its application has ended.

    A method of an object that holds the scope would leave a circle to the garbage collector.

    Args:
        scope: The scope that was passed on; copies of it keep the functions.
    """
    scope.pop(AFTER_HANDLER, None)


class BaseMiddleware(Application):
    """Pass a copy of the scope to the application inside.

    A subclass overrides `__call__`, adds to the scope, and calls `super().__call__`. Or it
    overrides `populate_scope`, `resolve_scope` or both, but not `__call__`. It keeps no state of a
    connection, since one instance serves all connections.
    """

    # Whether `populate_scope` and `resolve_scope` are called: not for a subclass with a `__call__`
    # of ASGI 3, since it may call its own methods of these names itself.
    _channels_prepares: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find out which methods the new class overrides."""
        super().__init_subclass__(**kwargs)
        own = cls.__call__
        cls._channels_prepares = own is BaseMiddleware.__call__ or not takes(own, 4)

    def __init__(self, inner: Any) -> None:
        """Wrap an application.

        Args:
            inner: An ASGI 3 application, a consumer class, or a two-step application.
        """
        self.inner: ASGIApplication = as_asgi3(inner)
        # Lets a URLRouter inside middleware be the view of another URLRouter's route.
        self._path_routing: bool = getattr(inner, "_path_routing", False)

    @at_once
    def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Coroutine[Any, Any, Any]:
        """Serve one connection.

        Args:
            scope: The connection's scope; the caller's dict is not changed.
            receive: ASGI receive.
            send: ASGI send.

        Returns:
            The result of the application inside.
        """
        if self._channels_prepares:
            return self._channels_prepare(dict(scope), receive, send)
        # For the `__call__` of a subclass.
        application: Any = self.inner
        served: Coroutine[Any, Any, Any] = application(dict(scope), receive, send)
        return served

    async def _channels_prepare(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        self.populate_scope(scope)
        return await self.coroutine_call(partial(self.inner, scope), scope, receive, send)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        scope = dict(scope)
        return self._channels_bind(scope) if self._channels_prepares else self._channels_step(scope)

    def _channels_step(self, scope: AnyScope) -> Any:
        """Take the first of two steps of the application inside."""
        return first_step(self.inner, scope)

    def _channels_bind(self, scope: AnyScope) -> Any:
        """Prepare a scope as far as possible without waiting; return a callable for the rest."""
        self.populate_scope(scope)
        # The application inside is made before `resolve_scope`, as in Channels 2.
        return partial(self.coroutine_call, self._channels_step(scope), scope)

    def populate_scope(self, scope: AnyScope) -> None:
        """Add to the scope what needs no waiting; does nothing unless overridden.

        Args:
            scope: The copy that the application inside gets, to be changed.
        """

    async def resolve_scope(self, scope: AnyScope) -> None:
        """Add to the scope what has to be waited for; does nothing unless overridden.

        Args:
            scope: The copy that the application inside gets, to be changed.
        """

    async def coroutine_call(
        self,
        inner_instance: Callable[[Receive, Send], Awaitable[Any]],
        scope: AnyScope,
        receive: Receive,
        send: Send,
    ) -> Any:
        """Call `resolve_scope`, then the application inside.

        Args:
            inner_instance: That application with its scope; called with `receive` and `send`.
            scope: The copy that the application inside gets.
            receive: ASGI receive.
            send: ASGI send.

        Returns:
            The result of the application inside.
        """
        await self.resolve_scope(scope)
        return await inner_instance(receive, send)
