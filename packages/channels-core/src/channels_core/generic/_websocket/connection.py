"""The companion of WebSocket consumers: the state of the socket, and how it ends."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final
from weakref import WeakSet

from channels_core import _messages
from channels_core._consumer.handlers import is_overridden
from channels_core._consumer.hooks import find_hook
from channels_core._uvicorn import in_one_step
from channels_core.close_codes import portable_close_code
from channels_core.connection import Connection, ConsumerClass
from channels_core.exceptions import InvalidFrame, StopConsumer
from channels_core.generic._websocket.state import Socket, SocketState
from channels_core.typing import Message, Send, WebsocketClose

__all__ = ["WebsocketConnection"]

logger = logging.getLogger("django.channels.consumer")

# Seconds that a server has to report that a client has left, once sending to it has failed.
_DISCONNECT_WITHIN: Final = 0.5
# Seconds after `connect` in which a message from the layer may still have us accept.
_ANSWER_WITHIN: Final = 3.0

# Attribute of an error that says that a client has left: of which socket.
_LOSS: Final = "_channels_loss"

# Consumer classes for which the log says that their `connect` does not answer.
_unanswering: "WeakSet[type]" = WeakSet()


class WebsocketConnection(Connection):
    """The companion of a WebSocket consumer.

    Attributes:
        socket: The state of the socket.
    """

    has_disconnect: ClassVar[bool] = True

    __slots__ = ("_unanswered", "socket")

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        """Begin before the handshake."""
        super().__init__(consumer, known)
        self.socket = Socket()
        # Whether `connect` has returned without an answer to the handshake.
        self._unanswered = False

    # What consumers ask

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted and neither side has closed since."""
        has_left = self.mailbox is not None and self.mailbox.client_has_left
        return self.socket.state is SocketState.OPEN and not has_left

    def may_receive(self) -> bool:
        """Return whether the frame is to be handled that was received just now."""
        return self.socket.may_receive(by_layer=bool(self.from_layer))

    def may_send(self) -> bool:
        """Return whether a frame can go out; see `Socket.may_send`."""
        return self.socket.may_send(by_layer=bool(self.from_layer))

    def payload(self, message: Message) -> dict[str, Any]:
        """Return the arguments of `receive` for a frame."""
        return _messages.payload(message, self.options["max_message_size"])

    # What consumers report

    def connecting(self) -> None:
        """Record that the handshake has begun."""
        # Multiplexers replace the `accept` of their consumers, and accept for all of them.
        if "accept" not in vars(self.consumer):
            self.socket.connecting()

    def connected(self) -> None:
        """Record that `connect` has returned; in any thread."""
        loop = self.loop
        if self.socket.state is SocketState.CONNECTING and loop is not None:
            self._unanswered = True
            warn = self._warn_unanswered
            loop.call_soon_threadsafe(loop.call_later, _ANSWER_WITHIN, warn)

    def _warn_unanswered(self) -> None:
        if not (self._unanswered and self.socket.state is SocketState.CONNECTING):
            return
        consumer = self.consumer
        if consumer is not None and type(consumer) not in _unanswering:
            _unanswering.add(type(consumer))
            logger.warning(
                "%s.connect returned without a call of accept(), close() or deny(), so that the "
                "client waits; call one of them",
                type(consumer).__name__,
            )

    def check_subprotocol(self, subprotocol: str | None) -> None:
        """Warn if the client did not offer a subprotocol."""
        consumer = self.consumer
        offered = consumer.scope.get("subprotocols") or []
        if subprotocol is not None and subprotocol not in offered:
            logger.warning(
                "%s accepts with subprotocol %r, but the client offered %r; it will fail the "
                "handshake (RFC 6455, section 4.1)",
                type(consumer).__name__,
                subprotocol,
                list(offered),
            )

    async def transmit(self, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        """Send a message with a coroutine function.

        Raises:
            OSError: The client has left. The connection then ends in good order.
        """
        try:
            await send(message)
        except OSError as error:
            self._lost(error)
            raise

    def transmit_now(self, send: Callable[[Any], None], message: Any) -> None:
        """Send a message with an ordinary function; errors as in `transmit`."""
        try:
            send(message)
        except OSError as error:
            self._lost(error)
            raise

    def _lost(self, error: OSError) -> None:
        """Record that a server refused to send since the client has left (ASGI, WebSocket)."""
        self.socket.lost()
        vars(error)[_LOSS] = self.socket  # not in us: no circle is to be left behind
        logger.debug("The client left before a message could be sent: %r", error)
        # Frames that the client sent before are still read, and the server knows the close code.
        self.stop_later(_DISCONNECT_WITHIN, StopConsumer())

    def private_close(self, error: InvalidFrame) -> WebsocketClose:
        """Return the close for a server that does not let applications use codes below 3000."""
        code = portable_close_code(error.code)
        self.socket.closing(code, None)
        return _messages.close(code, None)

    # The protocol's part

    def watch_send(self, send: Send) -> Send:
        """Return what sends, and records an answer to the handshake."""
        socket = self.socket
        send_unopened = in_one_step(send)

        def noting_send(message: Message) -> Awaitable[None]:
            if socket.state is SocketState.OPEN:
                return send(message)
            # A program may answer the handshake without our methods.
            if socket.state is SocketState.CONNECTING:
                socket.answered(message["type"])
            return send_unopened(message)

        return noting_send

    def client_left(self, message: Message) -> None:
        """Record the close code and the reason."""
        self._warn_unanswered()
        self.socket.peer_left(message.get("code", 1005), message.get("reason") or "")

    async def settle_failure(self, error: Exception, message: Message) -> bool:
        """Let `invalid_frame` answer a bad frame; the client's leaving needs no answer."""
        if vars(error).get(_LOSS) is self.socket:
            return True
        if message.get("type") != "websocket.receive":
            return False
        if not isinstance(error, InvalidFrame):
            code: int | None = getattr(error, _messages.CLOSE_CODE, None)
            if code is None:
                return False
            fault = InvalidFrame(f"A text frame cannot be decoded: {error}", code)
            fault.__cause__ = error
            error = fault
        await self.call(find_hook(self.consumer, "invalid_frame"), error)
        return True

    def disconnect_arguments(self) -> tuple[int]:
        """Record that the socket is closed, and return its close code."""
        self._warn_unanswered()
        self.socket.lost()
        return (self.socket.close_code,)

    def may_say_goodbye(self, code: int, reason: str) -> bool:
        """Return whether the socket is not closed yet, and record that it is."""
        there = self.socket.may_close()
        if there:
            self.socket.closing(code, reason)
        return there

    def handles_end(self, message: Message) -> bool:
        """Return whether the program has not overridden `websocket_disconnect`."""
        is_end = message["type"] == "websocket.disconnect"
        return is_end and not is_overridden(self.consumer, "websocket_disconnect")

    async def finish_unasked(self) -> None:
        """Finish through the program's own handler, unless the server has reported the end."""
        socket, consumer = self.socket, self.consumer
        errors: list[Exception] = []
        if is_overridden(consumer, "websocket_disconnect") and not socket.told:
            socket.told = True
            end = {
                "type": "websocket.disconnect",
                "code": socket.close_code,
                "reason": socket.reason,
            }
            try:
                await self.call(consumer.websocket_disconnect, end)
            except StopConsumer:
                pass
            except Exception as error:  # noqa: BLE001 - all of the clean-up runs
                errors.append(error)
        if not self._finished:
            try:
                await self.finish()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        self.raise_first(errors)
