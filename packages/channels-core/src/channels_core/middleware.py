"""The base of middleware: wrap an application, enrich its scope."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

from channels_core._scope import AFTER_HANDLER, AfterHandler
from channels_core._two_step import Application, first_step, takes
from channels_core.applications import as_asgi3
from channels_core.typing import AnyScope, ASGIApplication, Receive, Send

__all__ = ["BaseMiddleware", "after_each_handler"]


def after_each_handler(scope: AnyScope, function: AfterHandler) -> None:
    """Have the consumer inside call a function whenever one of its handlers has ended.

    It is called in the event loop, after each handler of a message from the client or the channel
    layer that ended without an error, before the next one starts; and once more when the
    connection has ended, whatever ended it, after `disconnect`.

    Args:
        scope: The scope that the middleware hands on: a copy of its own, which is changed.
        function: What to call. It runs for each message, so it returns None at once where there
            is nothing to do; an ordinary function that returns a coroutine costs the least.
    """
    scope[AFTER_HANDLER] = (*scope.get(AFTER_HANDLER, ()), function)


class BaseMiddleware(Application):
    """Hand a copy of the scope to the application inside.

    A subclass overrides `__call__`, adds to the scope, and calls `super().__call__`. Or it
    overrides `populate_scope`, `resolve_scope` or both, and not `__call__`. It holds nothing of
    a connection: one instance serves them all at once.
    """

    # Whether `populate_scope` and `resolve_scope` are called here: not if a subclass has a
    # `__call__` of ASGI 3, which may call what it has of these names itself.
    _channels_prepares: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """See which of its methods the new class overrides."""
        super().__init_subclass__(**kwargs)
        own = cls.__call__
        cls._channels_prepares = own is BaseMiddleware.__call__ or not takes(own, 4)

    def __init__(self, inner: Any) -> None:
        """Wrap an application.

        Args:
            inner: An ASGI 3 application, a consumer class, or a two-step application.
        """
        self.inner: ASGIApplication = as_asgi3(inner)
        # So that a URLRouter inside a middleware may stand in another one's route.
        self._path_routing: bool = getattr(inner, "_path_routing", False)

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection.

        Args:
            scope: The connection's scope; the caller's dict is not changed.
            receive: ASGI receive.
            send: ASGI send.

        Returns:
            What the application inside returns.
        """
        scope = dict(scope)
        if self._channels_prepares:
            self.populate_scope(scope)
            return await self.coroutine_call(partial(self.inner, scope), scope, receive, send)
        return await self.inner(scope, receive, send)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        scope = dict(scope)
        return self._channels_bind(scope) if self._channels_prepares else self._channels_step(scope)

    def _channels_step(self, scope: AnyScope) -> Any:
        """Take the first of two steps of the application inside."""
        return first_step(self.inner, scope)

    def _channels_bind(self, scope: AnyScope) -> Any:
        """Prepare a scope as far as that takes no waiting; return what does the rest."""
        self.populate_scope(scope)
        # What is inside is made now, before `resolve_scope`, as Channels 2 did it.
        return partial(self.coroutine_call, self._channels_step(scope), scope)

    def populate_scope(self, scope: AnyScope) -> None:
        """Add to the scope what takes no waiting; nothing unless overridden.

        Args:
            scope: The copy that the application inside gets, to be changed.
        """

    async def resolve_scope(self, scope: AnyScope) -> None:
        """Add to the scope what has to be waited for; nothing unless overridden.

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
            inner_instance: That application with its scope, to be called with the other two.
            scope: The copy that the application inside gets.
            receive: ASGI receive.
            send: ASGI send.

        Returns:
            What the application inside returns.
        """
        await self.resolve_scope(scope)
        return await inner_instance(receive, send)
