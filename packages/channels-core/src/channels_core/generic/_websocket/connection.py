"""The companion of WebSocket consumers: the state of the socket, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakSet

from channels_core import _messages
from channels_core._consumer_classes import find_hook, is_overridden
from channels_core._layers.outages import ongoing
from channels_core._settings import FROM_SETTING, max_message_size
from channels_core.connection import Connection, ConsumerClass
from channels_core.exceptions import InvalidFrame, StopConsumer
from channels_core.generic._websocket.state import CONNECTING, OPEN, UNKNOWN, Socket
from channels_core.typing import Message, Send

if TYPE_CHECKING:
    from channels_core._uvicorn import Outgoing
    from channels_core.generic._websocket.rate import MessageRate
    from channels_core.typing import WebsocketClose

__all__ = ["WebsocketConnection"]

logger = logging.getLogger("django.channels.consumer")

# After a failed send, the seconds that the server has to report that the client has left.
_DISCONNECT_WITHIN: Final = 0.5
# Seconds after `connect` until a missing answer is logged: another handler may still answer.
_ANSWER_WITHIN: Final = 3.0

_TRY_AGAIN_LATER: Final = 1013  # IANA, "WebSocket Close Code Number Registry"
_SLOW: Final = "The client does not read"
# Seconds that a client may read nothing while more than `max_pending` waits for it.
_PATIENCE: Final = 5.0
# Seconds between two looks at what waits, after the first ones in the next turns of the loop.
_LOOK_AGAIN: Final = 0.05
_TURNS: Final = 4
# Seconds until the connection of a client that does not read is dropped, with what waits for it.
_ABORT_AFTER: Final = 5.0

# Attribute of an error of `send`: the socket whose client has left.
_LOSS: Final = "_channels_loss"

# The consumer classes whose `connect` does not answer, and for which that was logged.
_unanswering: WeakSet[type] = WeakSet()


class WebsocketConnection(Connection):
    """The companion of a WebSocket consumer.

    Attributes:
        socket: The state of the socket.
    """

    has_disconnect: ClassVar[bool] = True

    __slots__ = (
        "_limit",
        "_outgoing",
        "_rate",
        "_refuses",
        "_server_send",
        "_slow",
        "_unanswered",
        "socket",
    )

    _server_send: Send

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        """Begin before the handshake."""
        super().__init__(consumer, known)
        self.socket = Socket()
        # The largest frame; None for any. The first frame replaces FROM_SETTING by the setting.
        self._limit: Any = self.options["max_message_size"]
        # Counts the client's messages; None if any number is allowed.
        rate = self.options["max_messages_per_second"]
        self._rate: MessageRate | None = None
        if rate is not None:
            # Loaded with the first such consumer.
            from channels_core.generic._websocket import rate as rates

            self._rate = rates.MessageRate(rate)
        # What waits in the server for the client; None unless it is bounded.
        self._outgoing: Outgoing | None = None
        # Whether the connection was closed since the client does not read.
        self._slow = False
        # Whether `connect` has returned without an answer to the handshake.
        self._unanswered = False
        # Whether the handshake is refused by a response.
        self._refuses = False

    # What consumers ask

    @property
    def is_open(self) -> bool:
        """Whether the handshake was accepted and neither side has closed since."""
        has_left = self.mailbox is not None and self.mailbox.client_has_left
        return self.socket.state == OPEN and not has_left

    def may_send(self) -> bool:
        """Return whether a frame can go out; see `Socket.may_send`."""
        socket = self.socket
        return socket.state == OPEN or socket.may_send(by_layer=bool(self.from_layer))

    def payload(self, message: Message) -> tuple[Any, Any] | None:
        """Return the text or the bytes of a frame; None if the frame is not to be handled."""
        socket = self.socket
        if socket.state != OPEN and not socket.may_receive(by_layer=bool(self.from_layer)):
            return None
        if self._rate is not None and not (self.from_layer or self._rate.allows_one()):
            limit = self.options["max_messages_per_second"]
            raise InvalidFrame(f"A client sends more than {limit} messages per second", 1008)
        if self._limit is FROM_SETTING:
            self._limit = max_message_size()
        return _messages.payload(message, self._limit)

    def pass_on(self, consumer: Any, message: Message) -> Awaitable[None] | None:
        """Do as `websocket_receive` of the async consumers, but return what `receive` returns."""
        text, data = message.get("text"), None
        # Most frames need no closer look by `payload`.
        is_plain = self._limit is None and self._rate is None and self.socket.state == OPEN
        if text is None or not is_plain:
            payload = self.payload(message)
            if payload is None:
                return None
            text, data = payload
        decode = self.known.decode
        if decode is not None and (work := decode(consumer, text)) is not None:
            decoded: Awaitable[None] = work
            return decoded
        try:
            if text is not None:
                # Not by a dict of keyword arguments, which takes 0.35 us longer.
                result = consumer.receive(text_data=text)
            else:
                result = consumer.receive(bytes_data=data)
        except TypeError as error:
            if (fault := _messages.not_taken(error, is_text=text is not None)) is None:
                raise
            raise fault from error
        if type(result) is CoroutineType:
            return result
        return _await_receive(result, is_text=text is not None)

    # What consumers report

    def connecting(self) -> None:
        """Record that the handshake has begun."""
        # A multiplexer sets `accept` on its inner consumers, and answers the handshake itself.
        if "accept" not in vars(self.consumer):
            self.socket.connecting()

    def connected(self) -> None:
        """Record that `connect` has returned; may be called in any thread."""
        loop = self.loop
        if loop is None:
            return
        if self.socket.state == CONNECTING:
            self._unanswered = True
            warn = self._warn_unanswered
            loop.call_soon_threadsafe(loop.call_later, _ANSWER_WITHIN, warn)
        elif self.socket.state == OPEN:
            own = vars(self.consumer)
            if own.get("base_send") == self._send_noting:
                # There is nothing more to note. A frame takes 0.05 us less without it.
                own["base_send"] = self._server_send
            if ongoing:
                loop.call_soon_threadsafe(self._connected_in_outage)

    def _connected_in_outage(self) -> None:
        """Record that the calls of the channel layer in `connect` have worked."""
        # Loaded with the first failure.
        from channels_core._layers.ongoing_outages import record_success

        consumer = self.consumer
        record_success(getattr(consumer, "channel_layer", None), type(consumer))

    def _warn_unanswered(self) -> None:
        """Log once for each class that `connect` has not answered the handshake."""
        if not (self._unanswered and self.socket.state == CONNECTING):
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
        if subprotocol is None:
            return
        consumer = self.consumer
        offered = consumer.scope.get("subprotocols") or []
        if subprotocol not in offered:
            # As in other methods here: few connections log something.
            from channels_core.client_log import log_of_client

            log_of_client(
                logger,
                logging.WARNING,
                consumer.scope,
                "%s accepts with subprotocol %.200r, but the client offered %.500r; it will fail "
                "the handshake (RFC 6455, section 4.1)",
                type(consumer).__name__,
                subprotocol,
                list(offered),
            )

    async def transmit(self, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        """Send a message with a coroutine function.

        Raises:
            OSError: The client has left. The connection then ends normally. At some moments,
                Daphne and Uvicorn raise a `RuntimeError` instead.
        """
        try:
            await send(message)
        except Exception as error:
            self.failed_to_send(error)
            raise

    def transmit_now(self, send: Callable[[Any], None], message: Any) -> None:
        """Send a message with an ordinary function; errors as in `transmit`."""
        try:
            send(message)
        except Exception as error:
            self.failed_to_send(error)
            raise

    def failed_to_send(self, error: Exception) -> None:
        """Record that the server's `send` has raised an error, if the client has left."""
        from channels_core._departures import client_has_left  # loaded with the first error

        if not client_has_left(error, accepted=self.socket.state == OPEN):
            return
        self.socket.lost()
        # The error holds the socket, and not the other way round: its traceback holds this object.
        vars(error)[_LOSS] = self.socket
        logger.debug("The client left before a message could be sent: %r", error)
        # Not at once: frames that the client sent before are still handled, and the server's report
        # of the end has the close code.
        self.stop_later(_DISCONNECT_WITHIN, StopConsumer())

    def private_close(self, error: InvalidFrame) -> WebsocketClose:
        """Return a close with a code above 3000, for a server that refuses lower ones."""
        from channels_core.close_codes import portable_close_code

        code = portable_close_code(error.code)
        self.socket.closing(code, None)
        return _messages.close(code, None)

    # The protocol's part

    def watch_send(self, send: Send) -> Send:
        """Return a function that sends, and records an answer to the handshake.

        A program may answer the handshake by `base_send`, without our methods.
        """
        self._server_send = send
        self._refuses = False
        most = self.options["max_pending"]
        if most is None:
            self._outgoing = None
            return self._send_noting
        from channels_core.abort import find_outgoing  # loaded with the first such consumer

        self._outgoing = find_outgoing(self.consumer.scope)
        if self._outgoing is None:
            return self._send_noting
        self._outgoing.allow(most)
        return self._bounded(self._outgoing, most, self._send_noting)

    # A method, since functions for each connection would take 0.6 KiB more.
    def _send_noting(self, message: Message) -> Awaitable[None]:
        """Send to the server, and record an answer to the handshake."""
        if self.socket.state != OPEN:
            if self.socket.state == CONNECTING:
                self.socket.answered(message["type"])
            if not self._refuses and message.get("type") == _messages.FIRST_OF_REFUSAL:
                from channels_core._uvicorn import in_one_step

                self._refuses = True
                self._server_send = in_one_step(self._server_send)
        return self._server_send(message)

    def _bounded(self, outgoing: Outgoing, most: int, send: Send) -> Send:
        """Return a function that sends unless too much waits for the client already."""

        def bounded_send(message: Message) -> Awaitable[None]:
            if message["type"] == "websocket.send":
                size = _messages.size(message)
                waiting = outgoing.waiting()
                if waiting and waiting + size > most:
                    return self._send_later(outgoing, most - size, send, message)
            return send(message)

        return bounded_send

    async def _send_later(
        self, outgoing: Outgoing, room: int, send: Send, message: Message
    ) -> None:
        """Send a frame to a client that does not keep up, drop it, or close the connection."""
        patience = 0.0 if self.options["slow_client"] == "drop" else _PATIENCE
        before = outgoing.waiting()
        since = monotonic()
        # Daphne writes in the next turns of the event loop, so that the first looks are at once.
        turns = 0
        while self.socket.state == OPEN:
            await asyncio.sleep(0 if turns < _TURNS else _LOOK_AGAIN)
            turns += 1
            waiting = outgoing.waiting()
            if waiting <= max(0, room):
                await send(message)
                return
            if waiting < before:
                before, since = waiting, monotonic()
            elif turns >= _TURNS and monotonic() - since >= patience:
                await self._give_up_on_client(outgoing, send)
                return

    async def _give_up_on_client(self, outgoing: Outgoing, send: Send) -> None:
        """Log that a client does not read, and close the connection unless its frames are dropped.

        The frame for which this was called is not sent.
        """
        from channels_core.abort import close_with
        from channels_core.client_log import log_of_client

        consumer = self.consumer
        drops = self.options["slow_client"] == "drop"
        log_of_client(
            logger,
            logging.WARNING,
            consumer.scope,
            "%s: more than max_pending (%s bytes) waits for a client that does not read; %s",
            type(consumer).__name__,
            self.options["max_pending"],
            "the frame is dropped" if drops else "its connection is closed",
        )
        if drops:
            return
        self._slow = True
        # From now on, what the program sends is ignored, as if the client had left.
        self.socket.closing(_TRY_AGAIN_LATER, _SLOW)
        self.socket.lost()
        # The client may read again, so it is told. If not, what waits is freed.
        asyncio.get_running_loop().call_later(_ABORT_AFTER, outgoing.abort)
        if not close_with(consumer.scope, _TRY_AGAIN_LATER, _SLOW):
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": _SLOW})

    def client_left(self, message: Message) -> None:
        """Record the close code and the reason."""
        if self._unanswered:
            self._warn_unanswered()
        if self._slow:
            self.socket.peer_left(_TRY_AGAIN_LATER, _SLOW)
        else:
            self.socket.peer_left(message.get("code", 1005), message.get("reason") or "")

    async def settle_failure(self, error: Exception, message: Message) -> bool:
        """Let `invalid_frame` answer an invalid frame of the client.

        One that the program sent over the layer is logged, and an `OSError` of `send` is settled.
        """
        if vars(error).get(_LOSS) is self.socket:
            return True
        # The layer may also name the handler itself, with an underscore.
        if message.get("type") not in {"websocket.receive", "websocket_receive"}:
            return False
        code: int | None = getattr(error, _messages.CLOSE_CODE, None)
        if self.from_layer:
            if code is None and not (
                isinstance(error, InvalidFrame) or _messages.is_malformed(error, message)
            ):
                return False
            from channels_core._failure_log import log_lost

            # It is not the client's fault, and a message to a group reaches all members.
            kind = type(self.consumer)
            fault = f"{type(error).__name__}; the frame from the channel layer is dropped"
            log_lost(kind, "websocket.receive", f"{kind.__name__} cannot read a frame: {fault}")
            return True
        if not isinstance(error, InvalidFrame):
            if code is None:
                return False
            # Not the text of the error: a decoder may quote its input, which may be confidential.
            invalid = InvalidFrame(f"A text frame cannot be decoded: {type(error).__name__}", code)
            invalid.__cause__ = error
            error = invalid
        await self.call(find_hook(self.consumer, "invalid_frame"), error)
        return True

    def disconnect_arguments(self) -> tuple[int]:
        """Record that the socket is closed, and return its close code."""
        if self._unanswered:
            self._warn_unanswered()
        self.socket.lost()
        return (self.socket.close_code,)

    def may_say_goodbye(self, code: int, reason: str) -> bool:
        """Return whether the socket is not closed yet, and record it as closed if so."""
        there = self.socket.may_close()
        if there:
            self.socket.closing(code, reason)
        return there

    def handles_end(self, message: Message) -> bool:
        """Return whether the program has not overridden `websocket_disconnect`."""
        is_end = message["type"] == "websocket.disconnect"
        return is_end and not is_overridden(self.consumer, "websocket_disconnect")

    def is_beginning(self) -> bool:
        """Return whether `connect` has not returned."""
        message = self._message
        kind = None if message is None else message.get("type")
        return self.from_layer is None or kind == "websocket.connect"

    def is_answered(self) -> bool:
        """Return whether the handshake is answered, or its client has left."""
        return self.socket.state not in (UNKNOWN, CONNECTING)

    def ends_with_goodbye(self) -> bool:
        """Return whether the handshake was accepted: then the client gets 1012, and comes back."""
        return self.socket.state == OPEN

    async def finish_unasked(self) -> None:
        """Call the program's own `websocket_disconnect`, if it has one, and finish.

        It is not called if the server has reported the end: then it has been called for that.
        """
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


async def _await_receive(result: Any, *, is_text: bool) -> None:
    """Await what a `receive` has returned that is not a coroutine method."""
    try:
        await result
    except TypeError as error:
        if (fault := _messages.not_taken(error, is_text=is_text)) is None:
            raise
        raise fault from error
