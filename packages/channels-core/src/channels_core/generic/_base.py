"""What the two colours of WebSocket consumers share: all that neither waits nor sends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack
from weakref import WeakSet

from channels_core._handlers import is_overridden
from channels_core._options import find_hook, readable
from channels_core._uvicorn import in_one_step
from channels_core.exceptions import InvalidFrame, StopConsumer
from channels_core.generic import _events
from channels_core.generic._socket import Socket, SocketState
from channels_core.generic.groups import GroupMember
from channels_core.typing import Message, Scope, Send, WebsocketClose, WebsocketOptions

__all__ = ["WebsocketBase"]

logger = logging.getLogger("django.channels.consumer")

if TYPE_CHECKING:
    from channels_core._dispatch import MessageLoop


# Seconds that a server has to tell of a client's leaving, once sending to it has failed.
_DISCONNECT_WITHIN: Final = 0.5
# Seconds after `connect` in which a message from the layer may still have us accept.
_ANSWER_WITHIN: Final = 3.0

# Attribute of an error that tells of the leaving of a client: which socket's.
_LOSS: Final = "_channels_loss"

# Consumer classes of which the log says that their `connect` does not answer.
_unanswering: "WeakSet[type]" = WeakSet()


class WebsocketBase(GroupMember):
    """The state of a WebSocket consumer, and the decisions that need nothing else.

    Options:
        max_message_size: Largest frame taken from the client, in bytes; None for any. A larger
            one closes the connection with 1009.

    Attributes:
        groups: Names of groups to be in while the connection lasts: an iterable, a property or
            a method. Read before `connect`, when `self.scope` is there.
        close_code: Close code of the connection, once it has ended; None before.
        close_reason: Close reason that goes with it; often empty.
        is_open: Whether the handshake was accepted and neither side has closed since.
    """

    _channels_framework: ClassVar[bool] = True

    is_open: bool = readable(lambda self: self._channels_socket.state is SocketState.OPEN)
    close_code: int | None = readable(lambda self: self._channels_socket.last_code)
    close_reason: str = readable(lambda self: self._channels_socket.last_reason)

    scope: Scope

    _channels_socket: Socket
    _channels_options: ClassVar[tuple[str, ...]] = ("max_message_size",)
    _channels_max_message_size: int | None = None
    _channels_call: Callable[..., Coroutine[Any, Any, None]]
    _channels_event_loop: asyncio.AbstractEventLoop | None = None
    _channels_unanswered = False
    websocket_disconnect: Callable[..., Any]

    # Of the consumer this is mixed into.
    _channels_loop: "MessageLoop | None"

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the state here: a program's constructor need not call ours."""
        consumer = super().__new__(cls)
        consumer._channels_socket = Socket()
        return consumer

    def __init_subclass__(cls, **options: Unpack[WebsocketOptions]) -> None:
        """Take the options of a WebSocket."""
        rest: Any = options
        super().__init_subclass__(**rest)

    def _channels_connecting(self) -> None:
        # Multiplexers take the place of the consumers' `accept`, and accept for all of them.
        if "accept" not in vars(self):
            self._channels_socket.connecting()

    def _channels_connected(self) -> None:
        """Take note that `connect` has returned; in any thread."""
        socket, loop = self._channels_socket, self._channels_event_loop
        if socket.state is SocketState.CONNECTING and loop is not None:
            self._channels_unanswered = True
            warn = self._channels_warn_unanswered
            loop.call_soon_threadsafe(loop.call_later, _ANSWER_WITHIN, warn)

    def _channels_warn_unanswered(self) -> None:
        kind = type(self)
        waits = self._channels_unanswered and self._channels_socket.state is SocketState.CONNECTING
        if waits and kind not in _unanswering:
            _unanswering.add(kind)
            logger.warning(
                "%s.connect returned without a call of accept(), close() or deny(), so that the "
                "client waits; call one of them",
                kind.__name__,
            )

    def _channels_peer_left(self, message: Message) -> None:
        self._channels_warn_unanswered()
        self._channels_socket.peer_left(message.get("code", 1005), message.get("reason") or "")

    def _channels_may_close(self, code: int, reason: str) -> bool:
        there = self._channels_socket.may_close()
        if there:
            self._channels_socket.closing(code, reason)
        return there

    def _channels_lost(self, error: OSError) -> None:
        """Take note that a server refused to send since the client has left (ASGI, WebSocket)."""
        self._channels_socket.lost()
        vars(error)[_LOSS] = self._channels_socket  # not in us: no circle is to be left behind
        logger.debug("The client left before a message could be sent: %r", error)
        # What the client sent before is still read, and the server knows the close code.
        if (loop := self._channels_loop) is not None:
            loop.stop_later(_DISCONNECT_WITHIN, StopConsumer())

    def _channels_payload(self, message: Message) -> dict[str, Any]:
        return _events.payload(message, self._channels_max_message_size)

    async def _channels_settle_failure(self, error: Exception, message: Message) -> bool:
        if vars(error).get(_LOSS) is self._channels_socket:
            return True
        if message.get("type") != "websocket.receive":
            return False
        if not isinstance(error, InvalidFrame):
            code: int | None = getattr(error, _events.CLOSE_CODE, None)
            if code is None:
                return False
            fault = InvalidFrame(f"A text frame cannot be decoded: {error}", code)
            fault.__cause__ = error
            error = fault
        await self._channels_call(find_hook(self, "invalid_frame"), error)
        return True

    def _channels_private_close(self, error: InvalidFrame) -> WebsocketClose:
        """Return the close for a server that keeps the codes below 3000 to itself."""
        code = error.code + 3000
        self._channels_socket.closing(code, None)
        return _events.close(code, None)

    def _channels_check_subprotocol(self, subprotocol: str | None) -> None:
        offered = self.scope.get("subprotocols") or []
        if subprotocol is not None and subprotocol not in offered:
            logger.warning(
                "%s accepts with subprotocol %r, but the client offered %r; it will fail the "
                "handshake (RFC 6455, section 4.1)",
                type(self).__name__,
                subprotocol,
                list(offered),
            )

    def _channels_disconnect_arguments(self) -> tuple[int]:
        self._channels_warn_unanswered()
        socket = self._channels_socket
        socket.lost()
        return (socket.close_code,)

    async def _channels_finish_unasked(self) -> None:
        """Finish through the program's own handler, unless the server has told that of the end."""
        socket = self._channels_socket
        errors: list[Exception] = []
        if is_overridden(self, "websocket_disconnect") and not socket.told:
            socket.told = True
            end = {
                "type": "websocket.disconnect",
                "code": socket.close_code,
                "reason": socket.reason,
            }
            try:
                await self._channels_call(self.websocket_disconnect, end)
            except StopConsumer:
                pass
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
        if not self._channels_finished:
            try:
                await super()._channels_finish_unasked()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        self._channels_raise_first(errors)

    def _channels_watch(self, send: Send) -> Send:
        socket = self._channels_socket
        self._channels_event_loop = asyncio.get_running_loop()
        send_unopened = in_one_step(send)

        def noting_send(message: Message) -> Awaitable[None]:
            if socket.state is SocketState.OPEN:
                return send(message)
            # A program may answer the handshake without our methods.
            if socket.state is SocketState.CONNECTING:
                socket.answered(message["type"])
            return send_unopened(message)

        return noting_send
