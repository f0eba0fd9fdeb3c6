"""End WebSockets with the login: on logout, a new password, deactivation, or when told to."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.apps import apps

from channels_auth._closable_websocket import ClosableWebsocket
from channels_auth._disconnection.login_watch import LoginWatch
from channels_auth._disconnection.messages import (
    UNAUTHORIZED,
    disconnect_message,
    key_group,
    require_layer,
    user_group,
)
from channels_core.close_codes import require_portable_close_code
from channels_core.forks import call_in_children
from channels_core.middleware import BaseMiddleware, after_each_handler
from channels_core.typing import AnyMessage, AnyScope, Receive, Send

__all__ = ["EndsWithLoginMiddleware", "disconnect_user"]

# Where `login` and `logout` find the watch.
_WATCH: Final = "channels_auth.disconnection"

# The event loop holds its tasks weakly.
_endings: Final[set[asyncio.Task[None]]] = set()
call_in_children(_endings.clear)


def disconnect_user(
    user: Any, code: int = UNAUTHORIZED, *, session_key: str | None = None
) -> Awaitable[None]:
    """Close the WebSockets of a user that are inside `EndsWithLoginMiddleware`, in any process.

    Await it in asynchronous code. In synchronous code the message is out when it returns, and the
    result needs no await.

    Args:
        user: A user, or a primary key of the user model.
        code: Close code: 1000, or 3000 to 4999. A handshake that is not answered yet is refused
            with status 401.
        session_key: Key of a session, to close the WebSockets of that one only.

    Raises:
        InvalidChannelLayerError: There is no channel layer `default`, or it has no groups.
        ValueError: The user is anonymous or not saved, or the code cannot be sent.
    """
    require_portable_close_code(code)
    group = user_group(user) if hasattr(user, "is_authenticated") else key_group(user)
    message = disconnect_message(group, code, session_key)
    group_send = require_layer("disconnect_user()").group_send
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Not every layer has a `group_send_sync`.
        async_to_sync(group_send)(group, message)
        return _Done()
    return group_send(group, message)


class _Done:
    """What was done already, for those who await it all the same."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class EndsWithLoginMiddleware(BaseMiddleware):
    """Close a WebSocket when the login that it came with ends.

    It closes, with code 4401, when its session is logged out, when the user's password changes,
    when the user is deactivated or deleted, and on `disconnect_user`; a handshake that is not
    answered yet is refused with status 401. All this comes over the channel layer `default`, on
    which each WebSocket with a user has a channel. Other connections pass as they are.

    Put it inside `AuthMiddleware` or `TokenAuthMiddleware`.
    """

    def __init__(self, inner: Any, *, revalidate_every: float | None = None) -> None:
        """Wrap an application.

        Args:
            inner: An ASGI 3 application, a router, a consumer class, or a two-step application.
            revalidate_every: Seconds between looks, in the database, at whether the login still
                holds: for what nothing tells of, such as a session that expires. None for no such
                looks, but for one when the connection begins.

        Raises:
            ValueError: `revalidate_every` is no positive number.
        """
        super().__init__(inner)
        if revalidate_every is not None and not revalidate_every > 0:
            raise ValueError(
                f"revalidate_every is a positive number of seconds, or None, not {revalidate_every}"
            )
        self.revalidate_every = revalidate_every
        self._connected = False
        self._connect_receivers()

    def _connect_receivers(self) -> None:
        # Not before, as when a program imports its routes first: there are no models yet.
        if apps.models_ready and not self._connected:
            from channels_auth._disconnection.receivers import connect_receivers

            connect_receivers()
            self._connected = True

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection.

        Scope:
            `user` is read, and `session` if there is one.

        Raises:
            InvalidChannelLayerError: There is no channel layer `default`, or it has no groups.
            ValueError: There is no user in the scope.
        """
        if scope["type"] != "websocket":
            return await super().__call__(scope, receive, send)
        if scope.get("user") is None:
            raise ValueError(
                "EndsWithLoginMiddleware found no user in the scope. Put it inside "
                "AuthMiddlewareStack or TokenAuthMiddleware, as in "
                "AuthMiddlewareStack(EndsWithLoginMiddleware(URLRouter([...])))"
            )
        if _WATCH in scope:
            # The outer one closes. What stands between the two may have found another user.
            scope[_WATCH].revalidate_at_least_every(self.revalidate_every)
            await scope[_WATCH].user_changed(scope)
            return await super().__call__(scope, receive, send)
        self._connect_receivers()
        layer = require_layer(type(self).__name__)
        gate = ClosableWebsocket(scope, send)
        watch = LoginWatch(layer, gate, revalidate_every=self.revalidate_every)
        scope = {**scope, _WATCH: watch}
        after_each_handler(scope, watch.after_handler)
        try:
            await watch.user_changed(scope)
            return await self.inner(scope, _receive_through(gate, receive), watch.send)
        finally:
            # A task of its own: no cancellation of this one cuts it short.
            ending = asyncio.create_task(watch.stop())
            _endings.add(ending)
            ending.add_done_callback(_endings.discard)
            await asyncio.shield(ending)


def _receive_through(gate: ClosableWebsocket, receive: Receive) -> Receive:
    """Return a receive for a connection that may be closed from outside."""

    async def gated_receive() -> AnyMessage:
        message = await receive()
        while gate.closed_from_outside and message["type"] == "websocket.receive":
            # The client need not react to our close: nothing that it sends afterwards counts.
            message = await receive()
        if message["type"] == "websocket.disconnect":
            gate.note("websocket.close")
        return message

    return gated_receive
