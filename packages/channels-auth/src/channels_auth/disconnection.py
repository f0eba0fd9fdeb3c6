"""Close WebSockets when their login ends: on a logout, a new password, a deactivation, a request.

`EndsWithLoginMiddleware` gives each WebSocket a `LoginWatch`, which listens on the channel layer
and closes the connection. The messages come from `disconnect_user`, and from the receivers of
Django's signals in `_disconnection/receivers.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.apps import apps

from channels_auth._closable_websocket import ClosableWebsocket
from channels_auth._close_codes import UNAUTHORIZED
from channels_auth._disconnection.layer import require_layer_with_groups
from channels_auth._disconnection.login_watch import LoginWatch
from channels_auth._disconnection.messages import disconnect_messages, groups_of_key, user_groups
from channels_auth._scope import LOGIN_WATCH
from channels_core.close_codes import require_portable_close_code
from channels_core.forks import call_in_children
from channels_core.layers import BaseChannelLayer
from channels_core.middleware import BaseMiddleware, after_each_handler
from channels_core.typing import AnyMessage, AnyScope, Message, Receive, Send

__all__ = ["EndsWithLoginMiddleware", "disconnect_user"]

# References to running tasks: the event loop holds only weak ones.
_ending_tasks: Final[set[asyncio.Task[None]]] = set()
call_in_children(_ending_tasks.clear)


def disconnect_user(
    user: Any, code: int = UNAUTHORIZED, *, session_key: str | None = None
) -> Awaitable[None]:
    """Close the WebSockets of a user that are inside `EndsWithLoginMiddleware`, in any process.

    Await it in asynchronous code. In synchronous code the message is sent before the function
    returns, and the result need not be awaited.

    Args:
        user: A user, or a primary key of the user model.
        code: Close code: 1000, or 3000 to 4999. A handshake that is not answered yet is refused
            with status 401.
        session_key: Key of a session, to close only the WebSockets of that session.

    Raises:
        InvalidChannelLayerError: There is no channel layer `default`, or it has no groups.
        ValueError: The user is anonymous or not saved, or the code cannot be sent.
    """
    require_portable_close_code(code)
    groups = user_groups(user) if hasattr(user, "is_authenticated") else groups_of_key(user)
    layer = require_layer_with_groups("disconnect_user()")
    messages = disconnect_messages(groups, code, session_key)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Not `group_send_sync`: not every layer has it.
        async_to_sync(_send)(layer, messages)
        return _Done()
    return _send(layer, messages)


async def _send(layer: BaseChannelLayer, messages: Sequence[Message]) -> None:
    for message in messages:
        await layer.group_send(message["group"], message)


class _Done:
    """The result of a call that is finished already; awaiting it is allowed."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class EndsWithLoginMiddleware(BaseMiddleware):
    """Close a WebSocket when the login that it was opened with ends.

    It is closed with code 4401 when its session is logged out, when the user's password changes,
    when the user is deactivated or deleted, and by `disconnect_user`. A handshake that is not
    answered yet is refused with status 401. The messages come over the channel layer `default`,
    on which each WebSocket with a user has a channel. Other types of connections are passed on
    unchanged.

    Put it inside `AuthMiddleware` or `TokenAuthMiddleware`.
    """

    def __init__(self, inner: Any, *, revalidate_every: float | None = None) -> None:
        """Wrap an application.

        Args:
            inner: An ASGI 3 application, a router, a consumer class, or a two-step application.
            revalidate_every: Seconds between two checks in the database that the login is still
                valid. They detect what no signal reports, such as a session that expires. None
                for a single check, when the connection begins.

        Raises:
            ValueError: `revalidate_every` is not a positive number.
        """
        super().__init__(inner)
        if revalidate_every is not None and not revalidate_every > 0:
            raise ValueError(
                f"revalidate_every is a positive number of seconds, or None, not {revalidate_every}"
            )
        self.revalidate_every = revalidate_every
        # Whether the receivers of Django's signals are connected.
        self._receivers_are_connected = False
        self._connect_receivers()

    def _connect_receivers(self) -> None:
        # If a program imports its routes early, the models are not loaded yet; the first
        # connection connects the receivers then.
        if apps.models_ready and not self._receivers_are_connected:
            from channels_auth._disconnection.receivers import connect_receivers

            connect_receivers()
            self._receivers_are_connected = True

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
        if LOGIN_WATCH in scope:
            # An outer EndsWithLoginMiddleware watches the connection. A middleware between the two
            # may have set another user.
            scope[LOGIN_WATCH].revalidate_at_least_every(self.revalidate_every)
            await scope[LOGIN_WATCH].user_changed(scope)
            return await super().__call__(scope, receive, send)
        self._connect_receivers()
        layer = require_layer_with_groups(type(self).__name__)
        websocket = ClosableWebsocket(scope, send)
        watch = LoginWatch(layer, websocket, revalidate_every=self.revalidate_every)
        scope = {**scope, LOGIN_WATCH: watch}
        after_each_handler(scope, watch.after_handler)
        try:
            await watch.user_changed(scope)
            return await self.inner(scope, _receive_through(websocket, receive), watch.send)
        finally:
            # A separate task, so that a cancellation of this one does not stop the clean-up.
            ending = asyncio.create_task(watch.stop())
            _ending_tasks.add(ending)
            ending.add_done_callback(_ending_tasks.discard)
            await asyncio.shield(ending)


def _receive_through(websocket: ClosableWebsocket, receive: Receive) -> Receive:
    """Return a receive for a connection that may be closed from outside.

    It skips the frames that arrive after such a close, and records the end of the connection.
    """

    async def receive_unless_closed() -> AnyMessage:
        message = await receive()
        while websocket.closed_from_outside and message["type"] == "websocket.receive":
            # The client may not react to our close and go on sending.
            message = await receive()
        if message["type"] == "websocket.disconnect":
            websocket.record("websocket.close")
        return message

    return receive_unless_closed
