"""WebSocket consumers, plain and for JSON, with coroutine methods and with ordinary methods.

The asynchronous and the synchronous classes have the same code, with and without `await`; a test
compares them. The server's `websocket.connect`, `websocket.receive` and `websocket.disconnect`
reach the methods `websocket_*`, and these call the program's `connect`, `receive` and `disconnect`.
The companion, `self._channels_connection`, keeps the state of the socket and decides whether a
message may be sent.
"""

from __future__ import annotations

import json  # noqa: F401 - tests of programs patch it here
from collections.abc import Awaitable
from contextlib import suppress
from types import CoroutineType, GenericAlias
from typing import TYPE_CHECKING, Any, Final, Generic, Unpack

from channels_core import _json, _messages
from channels_core._consumer_classes import (
    class_of,
    framework,
    is_framework,
    new_hook,
    readable,
    shortcut,
)
from channels_core._settings import FROM_SETTING
from channels_core.consumer import (
    AsyncConsumer,
    SyncConsumer,
)
from channels_core.exceptions import AcceptConnection, DenyConnection, InvalidFrame, StopConsumer
from channels_core.generic.groups import AsyncGroupMember, SyncGroupMember
from channels_core.typing import CloseArgument

if TYPE_CHECKING:
    # `TypeVar` of `typing` has defaults from Python 3.13 on. Only type checkers read this import,
    # so the package need not be installed.
    from typing_extensions import TypeVar

    from channels_core.generic._websocket.connection import WebsocketConnection
    from channels_core.headers import HeadersArgument
    from channels_core.typing import (
        JsonOptions,
        WebsocketConnect,
        WebsocketDisconnect,
        WebsocketOptions,
        WebsocketReceive,
    )

    ContentT = TypeVar("ContentT", default=Any)
else:
    from typing import TypeVar

    ContentT = TypeVar("ContentT")

# These are called directly, unless a test has replaced them.
_SEND: Final = AsyncConsumer.send
_SYNC_SEND: Final = SyncConsumer.send

__all__ = [
    "AsyncJsonWebsocketConsumer",
    "AsyncWebsocketConsumer",
    "JsonWebsocketConsumer",
    "WebsocketConsumer",
]


def _next_to(cls: type, upper: type, lower: type) -> bool:
    """Return whether no class of a program stands between two of ours, with a `send` of its own.

    It may get one later, from a test.
    """
    between = cls.__mro__[cls.__mro__.index(upper) + 1 : cls.__mro__.index(lower)]
    return all(is_framework(each) for each in between)


def _companion() -> type[WebsocketConnection]:
    from channels_core.generic._websocket.connection import WebsocketConnection

    return WebsocketConnection  # loaded with the first consumer


@framework(
    _companion,
    max_message_size=FROM_SETTING,
    max_messages_per_second=None,
    max_pending=None,
    slow_client="close",
)
class AsyncWebsocketConsumer(AsyncGroupMember):
    """A WebSocket connection whose handlers are coroutine methods.

    Override `connect`, `receive` and `disconnect`, and add a method for each type of message
    that other code sends over the channel layer.

    Options:
        max_message_size: The size of the largest allowed frame from the client, in bytes; None for
            any. A larger one closes the connection with 1009. Without this option, the setting
            `CHANNELS_MAX_MESSAGE_SIZE` applies; without that, any size is allowed.
        max_messages_per_second: The number of frames that the client may send in a second; None
            for any. More close the connection with 1008.
        max_pending: The number of bytes that may wait in Uvicorn or Daphne for a client that does
            not read; None for any. A single frame may be larger.
        slow_client: What happens beyond `max_pending`: "close" waits for the client as long as it
            reads, and closes the connection with 1013 otherwise; "drop" drops the frame.

    Attributes:
        groups: The names of the groups to join: an iterable, a property or a method. Read before
            `connect`, when `self.scope` is set.
        is_open: Whether the handshake was accepted and neither side has closed since.
        close_code: Close code of the connection, once it has ended; None before.
        close_reason: Close reason sent with the code; often empty.
    """

    is_open: bool = readable(lambda self: self._channels_connection.is_open)
    close_code: int | None = readable(lambda self: self._channels_connection.socket.last_code)
    close_reason: str = readable(lambda self: self._channels_connection.socket.last_reason)

    _channels_connection: WebsocketConnection

    def __init_subclass__(cls, **options: Unpack[WebsocketOptions]) -> None:
        """Declare the options of a WebSocket consumer to type checkers, and look at its `send`."""
        rest: Any = options
        super().__init_subclass__(**rest)
        class_of(cls).sends_directly = _next_to(cls, AsyncWebsocketConsumer, AsyncConsumer)

    async def websocket_connect(self, message: WebsocketConnect) -> None:
        """Join the groups, then let `connect` answer the handshake.

        Messages:
            `websocket.connect`.

        Raises:
            InvalidChannelLayerError: `groups` is not empty, but there is no layer with groups.
        """
        self._channels_connection.connecting()
        try:
            for name in self._channels_connection.join_declared(self):
                await self._channels_connection.groups.join(self, name)
            await self.connect()
            self._channels_connection.connected()
        except AcceptConnection:
            await self.accept()
        except DenyConnection as denial:
            if denial.status is None:
                await self.close(denial.code, denial.reason)
            else:
                # A program's method `deny` may be one of its handlers.
                await AsyncWebsocketConsumer.deny(
                    self,
                    denial.status,
                    body=denial.reason or b"",
                    code=denial.code,
                    reason=denial.reason,
                )

    async def connect(self) -> None:
        """Answer the handshake; accepts it unless overridden.

        Call `accept`, `close` or `deny`, or raise `AcceptConnection` or `DenyConnection`.
        """
        await self.accept()

    async def accept(self, subprotocol: str | None = None, headers: HeadersArgument = None) -> None:
        """Accept the handshake.

        Args:
            subprotocol: One of the client's offers in `scope["subprotocols"]`. Another one is
                logged as a warning, since the client then fails the connection.
            headers: Extra headers of the response: pairs or a mapping, of str or bytes.

        Raises:
            ConnectionStateError: The handshake was answered already.
            ValueError: A header holds CR, LF or NUL.
        """
        connection = self._channels_connection
        if connection.socket.may_accept():
            connection.check_subprotocol(subprotocol)
            message: Any = _messages.accept(subprotocol, headers)
            connection.socket.accepted()
            # As `transmit`, without its call, and as in `send`.
            try:
                if connection.known.sends_directly and AsyncConsumer.send is _SEND:
                    await self.base_send(message)
                else:
                    await super().send(message)
            except Exception as error:
                connection.failed_to_send(error)
                raise

    async def deny(
        self,
        status: int = 403,
        headers: HeadersArgument = None,
        body: bytes | str = b"",
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Refuse the handshake, with an HTTP response if the server can send one.

        Args:
            status: HTTP status.
            headers: Headers of the response: pairs or a mapping, of str or bytes.
            body: Body of the response; str is encoded as UTF-8.
            code: Close code for a server without the `websocket.http.response` extension.
            reason: Close reason for such a server.

        Raises:
            ConnectionStateError: The handshake was accepted already; use `close`.
            ValueError: A header holds CR, LF or NUL.
        """
        if self._channels_connection.socket.may_deny():
            messages = _messages.denial(self.scope, status, headers, body, code, reason)
            self._channels_connection.socket.closing(code, reason)
            for message in messages:
                await self._channels_connection.transmit(super().send, message)

    async def websocket_receive(self, message: WebsocketReceive) -> None:
        """Pass a frame to `receive`, unless this consumer has closed the connection.

        Messages:
            `websocket.receive`, with `text` or `bytes`.

        Raises:
            InvalidFrame: The frame is too large, has neither text nor bytes, or is of a kind that
                `receive` does not take.
        """
        payload = self._channels_connection.payload(message)
        if payload is None:
            return
        text, data = payload
        try:
            if text is not None:
                # Not by a dict of keyword arguments, which takes 0.35 us longer.
                await self.receive(text_data=text)
            else:
                await self.receive(bytes_data=data)
        except TypeError as error:
            if (fault := _messages.not_taken(error, is_text=text is not None)) is None:
                raise
            raise fault from error

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle a frame; does nothing unless overridden.

        Args:
            text_data: The text of a text frame, passed as a keyword.
            bytes_data: The bytes of a binary frame, passed as a keyword.
        """

    @new_hook
    async def invalid_frame(self, error: InvalidFrame) -> None:
        """Answer an invalid frame: close with the error's code, then raise the error.

        Override it as a `hook` to keep the connection open, or to send the client a message.
        `ProtocolTypeRouter` logs an `InvalidFrame` in one line. Daphne lets applications close only
        with 1000 and 3000 to 4999; there the code is 3000 higher (4003, 4007, 4009).

        Args:
            error: The error, with its close code in `error.code`.

        Raises:
            InvalidFrame: The error.
        """
        try:
            await self.close(error.code)
        except OSError:
            pass  # the client has left
        except Exception:  # noqa: BLE001 - Daphne's Autobahn raises a bare Exception
            with suppress(OSError):  # the same, as Uvicorn sometimes says it
                await self._channels_connection.transmit(
                    super().send, self._channels_connection.private_close(error)
                )
        raise error

    async def send(  # type: ignore[override] # as programs know it: a frame, not a message
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: CloseArgument = False,
    ) -> None:
        """Send a text or a binary frame; does nothing once the client has left.

        Args:
            text_data: Text to send.
            bytes_data: Bytes to send, if there is no text.
            close: Close afterwards; an int is the close code.

        Raises:
            ConnectionStateError: The handshake is not accepted yet, or this consumer has closed
                the connection.
            ValueError: Neither text nor bytes were passed.
            TypeError: The data is neither str nor bytes.
            OSError: The server's `send` has raised it, since the client has left. A program need
                not catch it: if it leaves the handler, the connection ends normally.
        """
        message: Any
        if type(text_data) is str:  # nearly always
            message = {"type": "websocket.send", "text": text_data}
        else:
            message = _messages.frame(text_data, bytes_data)
        connection = self._channels_connection
        if connection.may_send():
            # As `transmit`, without its call.
            try:
                if connection.known.sends_directly and AsyncConsumer.send is _SEND:
                    # What it does; `super()` and one more call would take 0.3 us.
                    await self.base_send(message)
                else:
                    await super().send(message)
            except Exception as error:
                connection.failed_to_send(error)
                raise
        sent = True  # noqa: F841 - `hanging_sends` looks for it
        if close:
            await self.close(close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or refuse the handshake; a second call does nothing.

        Args:
            code: Close code, 1000 or 3000 to 4999; None for 1000. Before the handshake is
                accepted, servers ignore the code and answer with status 403.
            reason: Close reason, 123 bytes of UTF-8 at most.

        Raises:
            ValueError: The connection is open, and RFC 6455 does not allow the code or the reason.
        """
        if self._channels_connection.socket.may_close():
            message = _messages.close(code, reason)
            with self._channels_connection.socket.closes(code, reason):
                await self._channels_connection.transmit(super().send, message)

    async def websocket_disconnect(self, message: WebsocketDisconnect) -> None:
        """Leave the groups, call `disconnect`, and end the consumer.

        Messages:
            `websocket.disconnect`, with `code` and perhaps `reason`.

        Raises:
            StopConsumer: Always.
        """
        self._channels_connection.client_left(message)
        await self._channels_connection.finish()
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        """Clean up after the end of the connection; does nothing unless overridden.

        Called once for each connection that `connect` was called for, however it ends. Nothing can
        be sent to the client any more. `self.close_reason` has the close reason.

        Args:
            code: The close code of the client or of this consumer; 1006 if neither sent one.
        """


if TYPE_CHECKING:

    class JsonContent(Generic[ContentT]):
        """A base whose subclasses may name the type of their content in brackets."""

else:

    @framework()
    class JsonContent:
        """A base whose subclasses may name the type of their content in brackets.

        Without a name the type is Any. At run time this is not a `Generic`, since Python could not
        order the bases of `class Game(Generic[MoveT], JsonWebsocketConsumer)` then.
        """

        @classmethod
        def __class_getitem__(cls, content: Any) -> Any:
            """Return the class with the type of its content, to be used as a base."""
            inherited = getattr(super(), "__class_getitem__", None)
            return GenericAlias(cls, content) if inherited is None else inherited(content)


@framework(json_encoder=None)
class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer, JsonContent[ContentT]):
    """A WebSocket connection that speaks JSON in text frames, with coroutine methods.

    A subclass may name the type of its content for type checkers: in a subclass of
    `AsyncJsonWebsocketConsumer[Move]`, `decode_json` returns a `Move`, and `receive_json` takes
    one. The type is not checked at run time.

    Options:
        json_encoder: Encoder class for `encode_json`, for example Django's
            `django.core.serializers.json.DjangoJSONEncoder`; None for the standard one.
    """

    def __init_subclass__(cls, **options: Unpack[JsonOptions]) -> None:
        """Declare the options of a JSON consumer to type checkers, and look at its `send`."""
        rest: Any = options
        super().__init_subclass__(**rest)
        class_of(cls).decode = _decode
        class_of(cls).sends_json_directly = _next_to(
            cls, AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
        )

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Decode a text frame and pass its content to `receive_json`.

        Args:
            text_data: The text of a text frame.
            bytes_data: The bytes of a binary frame; ignored if there is text.
            kwargs: Passed on to `receive_json`.

        Raises:
            InvalidFrame: The frame is binary (1003) or not JSON (1007).
        """
        if text_data is None:
            raise InvalidFrame("No text section for incoming WebSocket frame!", 1003)
        try:
            decode = self.decode_json
            # Our own method without one more call: 0.15 us each for a coroutine, here and below.
            is_ours = getattr(decode, "__func__", None) is _DECODE
            if is_ours and type(text_data) is str and len(text_data) <= _json.LARGE:
                content = _json.decoder()(text_data)
            else:
                content = await decode(text_data)
        except (ValueError, RecursionError) as error:
            if (fault := _messages.undecodable(error)) is None:
                raise
            raise fault from error
        await self.receive_json(content, **kwargs)

    async def receive_json(self, content: ContentT, **kwargs: Any) -> None:
        """Handle a decoded frame; does nothing unless overridden.

        Args:
            content: The result of `decode_json`.
            kwargs: Further keyword arguments with which a program called `receive`.
        """

    async def send_json(self, content: Any, close: CloseArgument = False) -> None:
        """Encode a value and send it as a text frame.

        Args:
            content: The value, of a type that `encode_json` accepts.
            close: As in `send`.

        Raises:
            TypeError: The value cannot be encoded.
            ConnectionStateError: As in `send`.
        """
        encode: Any = self.encode_json
        connection = self._channels_connection
        if getattr(encode, "__func__", None) is _ENCODE and encode.__self__ is type(self):
            text = _json.encoder(connection.options["json_encoder"])(content)
        else:
            text = await encode(content)
        known = connection.known
        if not (known.sends_json_directly and AsyncWebsocketConsumer.send is _SEND_FRAME):
            await super().send(text_data=text, close=close)
        elif (
            close
            or type(text) is not str
            or not (known.sends_directly and AsyncConsumer.send is _SEND)
        ):
            # As `super()` finds it, which would take 0.2 us longer.
            await _SEND_FRAME(self, text, None, close)
        elif connection.may_send():
            # What that does; its call would take 0.15 us. `hanging_sends` looks for the variable.
            message: Any = {"type": "websocket.send", "text": text}
            try:
                await self.base_send(message)
            except Exception as error:
                connection.failed_to_send(error)
                raise

    @classmethod
    async def decode_json(cls, text_data: str) -> ContentT:
        """Parse the text of a frame; override it for another format.

        A text of more than 65,536 characters is parsed in another thread, in pieces, so that the
        event loop goes on meanwhile.

        Raises:
            ValueError: The text is not JSON; `NaN` and `Infinity` are refused, too.
        """
        if type(text_data) is str and len(text_data) > _json.LARGE:
            from channels_core import _large_json  # few programs get such a text

            large: ContentT = await _large_json.decode_large(text_data)
            return large
        content: ContentT = _json.decoder()(text_data)
        return content

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Serialise a value for a frame; override it for another format.

        Raises:
            TypeError: The value cannot be serialised.
        """
        return _json.encoder(class_of(cls).options["json_encoder"])(content)


@framework(
    _companion,
    max_message_size=FROM_SETTING,
    max_messages_per_second=None,
    max_pending=None,
    slow_client="close",
)
class WebsocketConsumer(SyncGroupMember):
    """A WebSocket connection whose handlers are ordinary methods, run in a thread.

    Override `connect`, `receive` and `disconnect`, and add a method for each type of message
    that other code sends over the channel layer.

    Options:
        max_message_size: The size of the largest allowed frame from the client, in bytes; None for
            any. A larger one closes the connection with 1009. Without this option, the setting
            `CHANNELS_MAX_MESSAGE_SIZE` applies; without that, any size is allowed.
        max_messages_per_second: The number of frames that the client may send in a second; None
            for any. More close the connection with 1008.
        max_pending: The number of bytes that may wait in Uvicorn or Daphne for a client that does
            not read; None for any. A single frame may be larger.
        slow_client: What happens beyond `max_pending`: "close" waits for the client as long as it
            reads, and closes the connection with 1013 otherwise; "drop" drops the frame.

    Attributes:
        groups: The names of the groups to join: an iterable, a property or a method. Read before
            `connect`, when `self.scope` is set.
        is_open: Whether the handshake was accepted and neither side has closed since.
        close_code: Close code of the connection, once it has ended; None before.
        close_reason: Close reason sent with the code; often empty.
    """

    is_open: bool = readable(lambda self: self._channels_connection.is_open)
    close_code: int | None = readable(lambda self: self._channels_connection.socket.last_code)
    close_reason: str = readable(lambda self: self._channels_connection.socket.last_reason)

    _channels_connection: WebsocketConnection

    def __init_subclass__(cls, **options: Unpack[WebsocketOptions]) -> None:
        """Declare the options of a WebSocket consumer to type checkers, and look at its `send`."""
        rest: Any = options
        super().__init_subclass__(**rest)
        class_of(cls).sends_directly = _next_to(cls, WebsocketConsumer, SyncConsumer)

    def websocket_connect(self, message: WebsocketConnect) -> None:
        """Join the groups, then let `connect` answer the handshake.

        Messages:
            `websocket.connect`.

        Raises:
            InvalidChannelLayerError: `groups` is not empty, but there is no layer with groups.
        """
        self._channels_connection.connecting()
        try:
            for name in self._channels_connection.join_declared(self):
                self._channels_connection.in_loop(self._channels_connection.groups.join, self, name)
            self.connect()
            self._channels_connection.connected()
        except AcceptConnection:
            self.accept()
        except DenyConnection as denial:
            if denial.status is None:
                self.close(denial.code, denial.reason)
            else:
                # A program's method `deny` may be one of its handlers.
                WebsocketConsumer.deny(
                    self,
                    denial.status,
                    body=denial.reason or b"",
                    code=denial.code,
                    reason=denial.reason,
                )

    def connect(self) -> None:
        """Answer the handshake; accepts it unless overridden.

        Call `accept`, `close` or `deny`, or raise `AcceptConnection` or `DenyConnection`.
        """
        self.accept()

    def accept(self, subprotocol: str | None = None, headers: HeadersArgument = None) -> None:
        """Accept the handshake.

        Args:
            subprotocol: One of the client's offers in `scope["subprotocols"]`. Another one is
                logged as a warning, since the client then fails the connection.
            headers: Extra headers of the response: pairs or a mapping, of str or bytes.

        Raises:
            ConnectionStateError: The handshake was answered already.
            ValueError: A header holds CR, LF or NUL.
        """
        connection = self._channels_connection
        if connection.socket.may_accept():
            connection.check_subprotocol(subprotocol)
            message: Any = _messages.accept(subprotocol, headers)
            connection.socket.accepted()
            # As `transmit`, without its call, and as in `send`.
            try:
                if connection.known.sends_directly and SyncConsumer.send is _SYNC_SEND:
                    self.base_send(message)
                else:
                    super().send(message)
            except Exception as error:
                connection.failed_to_send(error)
                raise

    def deny(
        self,
        status: int = 403,
        headers: HeadersArgument = None,
        body: bytes | str = b"",
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Refuse the handshake, with an HTTP response if the server can send one.

        Args:
            status: HTTP status.
            headers: Headers of the response: pairs or a mapping, of str or bytes.
            body: Body of the response; str is encoded as UTF-8.
            code: Close code for a server without the `websocket.http.response` extension.
            reason: Close reason for such a server.

        Raises:
            ConnectionStateError: The handshake was accepted already; use `close`.
            ValueError: A header holds CR, LF or NUL.
        """
        if self._channels_connection.socket.may_deny():
            messages = _messages.denial(self.scope, status, headers, body, code, reason)
            self._channels_connection.socket.closing(code, reason)
            for message in messages:
                self._channels_connection.transmit_now(super().send, message)

    def websocket_receive(self, message: WebsocketReceive) -> None:
        """Pass a frame to `receive`, unless this consumer has closed the connection.

        Messages:
            `websocket.receive`, with `text` or `bytes`.

        Raises:
            InvalidFrame: The frame is too large, has neither text nor bytes, or is of a kind that
                `receive` does not take.
        """
        payload = self._channels_connection.payload(message)
        if payload is None:
            return
        text, data = payload
        try:
            if text is not None:
                # Not by a dict of keyword arguments, which takes 0.35 us longer.
                self.receive(text_data=text)
            else:
                self.receive(bytes_data=data)
        except TypeError as error:
            if (fault := _messages.not_taken(error, is_text=text is not None)) is None:
                raise
            raise fault from error

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle a frame; does nothing unless overridden.

        Args:
            text_data: The text of a text frame, passed as a keyword.
            bytes_data: The bytes of a binary frame, passed as a keyword.
        """

    @new_hook
    def invalid_frame(self, error: InvalidFrame) -> None:
        """Answer an invalid frame: close with the error's code, then raise the error.

        Override it as a `hook` to keep the connection open, or to send the client a message.
        `ProtocolTypeRouter` logs an `InvalidFrame` in one line. Daphne lets applications close only
        with 1000 and 3000 to 4999; there the code is 3000 higher (4003, 4007, 4009).

        Args:
            error: The error, with its close code in `error.code`.

        Raises:
            InvalidFrame: The error.
        """
        try:
            self.close(error.code)
        except OSError:
            pass  # the client has left
        except Exception:  # noqa: BLE001 - Daphne's Autobahn raises a bare Exception
            with suppress(OSError):  # the same, as Uvicorn sometimes says it
                self._channels_connection.transmit_now(
                    super().send, self._channels_connection.private_close(error)
                )
        raise error

    def send(  # type: ignore[override] # as programs know it: a frame, not a message
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: CloseArgument = False,
    ) -> None:
        """Send a text or a binary frame; does nothing once the client has left.

        Args:
            text_data: Text to send.
            bytes_data: Bytes to send, if there is no text.
            close: Close afterwards; an int is the close code.

        Raises:
            ConnectionStateError: The handshake is not accepted yet, or this consumer has closed
                the connection.
            ValueError: Neither text nor bytes were passed.
            TypeError: The data is neither str nor bytes.
            OSError: The server's `send` has raised it, since the client has left. A program need
                not catch it: if it leaves the handler, the connection ends normally.
        """
        message: Any
        if type(text_data) is str:  # nearly always
            message = {"type": "websocket.send", "text": text_data}
        else:
            message = _messages.frame(text_data, bytes_data)
        connection = self._channels_connection
        if connection.may_send():
            # As `transmit`, without its call.
            try:
                if connection.known.sends_directly and SyncConsumer.send is _SYNC_SEND:
                    # What it does; `super()` and one more call would take 0.3 us.
                    self.base_send(message)
                else:
                    super().send(message)
            except Exception as error:
                connection.failed_to_send(error)
                raise
        sent = True  # noqa: F841 - as in the other colour
        if close:
            self.close(close)

    def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or refuse the handshake; a second call does nothing.

        Args:
            code: Close code, 1000 or 3000 to 4999; None for 1000. Before the handshake is
                accepted, servers ignore the code and answer with status 403.
            reason: Close reason, 123 bytes of UTF-8 at most.

        Raises:
            ValueError: The connection is open, and RFC 6455 does not allow the code or the reason.
        """
        if self._channels_connection.socket.may_close():
            message = _messages.close(code, reason)
            with self._channels_connection.socket.closes(code, reason):
                self._channels_connection.transmit_now(super().send, message)

    def websocket_disconnect(self, message: WebsocketDisconnect) -> None:
        """Leave the groups, call `disconnect`, and end the consumer.

        Messages:
            `websocket.disconnect`, with `code` and perhaps `reason`.

        Raises:
            StopConsumer: Always.
        """
        self._channels_connection.client_left(message)
        self._channels_connection.in_loop(self._channels_connection.finish)
        raise StopConsumer

    def disconnect(self, code: int) -> None:
        """Clean up after the end of the connection; does nothing unless overridden.

        Called once for each connection that `connect` was called for, however it ends. Nothing can
        be sent to the client any more. `self.close_reason` has the close reason.

        Args:
            code: The close code of the client or of this consumer; 1006 if neither sent one.
        """


@framework(json_encoder=None)
class JsonWebsocketConsumer(WebsocketConsumer, JsonContent[ContentT]):
    """A WebSocket connection that speaks JSON in text frames, with ordinary methods in a thread.

    A subclass may name the type of its content for type checkers: in a subclass of
    `JsonWebsocketConsumer[Move]`, `decode_json` returns a `Move`, and `receive_json` takes one. The
    type is not checked at run time.

    Options:
        json_encoder: Encoder class for `encode_json`, for example Django's
            `django.core.serializers.json.DjangoJSONEncoder`; None for the standard one.
    """

    def __init_subclass__(cls, **options: Unpack[JsonOptions]) -> None:
        """Declare the options of a JSON consumer to type checkers, and look at its `send`."""
        rest: Any = options
        super().__init_subclass__(**rest)
        class_of(cls).decode = _decode
        class_of(cls).sends_json_directly = _next_to(cls, JsonWebsocketConsumer, WebsocketConsumer)

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Decode a text frame and pass its content to `receive_json`.

        Args:
            text_data: The text of a text frame.
            bytes_data: The bytes of a binary frame; ignored if there is text.
            kwargs: Passed on to `receive_json`.

        Raises:
            InvalidFrame: The frame is binary (1003) or not JSON (1007).
        """
        if text_data is None:
            raise InvalidFrame("No text section for incoming WebSocket frame!", 1003)
        try:
            decode = self.decode_json
            # Our own method without one more call: 0.15 us each for a coroutine, here and below.
            is_ours = getattr(decode, "__func__", None) is _SYNC_DECODE
            if is_ours and type(text_data) is str and len(text_data) <= _json.LARGE:
                content = _json.decoder()(text_data)
            else:
                content = decode(text_data)
        except (ValueError, RecursionError) as error:
            if (fault := _messages.undecodable(error)) is None:
                raise
            raise fault from error
        self.receive_json(content, **kwargs)

    def receive_json(self, content: ContentT, **kwargs: Any) -> None:
        """Handle a decoded frame; does nothing unless overridden.

        Args:
            content: The result of `decode_json`.
            kwargs: Further keyword arguments with which a program called `receive`.
        """

    def send_json(self, content: Any, close: CloseArgument = False) -> None:
        """Encode a value and send it as a text frame.

        Args:
            content: The value, of a type that `encode_json` accepts.
            close: As in `send`.

        Raises:
            TypeError: The value cannot be encoded.
            ConnectionStateError: As in `send`.
        """
        encode: Any = self.encode_json
        connection = self._channels_connection
        if getattr(encode, "__func__", None) is _SYNC_ENCODE and encode.__self__ is type(self):
            text = _json.encoder(connection.options["json_encoder"])(content)
        else:
            text = encode(content)
        known = connection.known
        if not (known.sends_json_directly and WebsocketConsumer.send is _SYNC_SEND_FRAME):
            super().send(text_data=text, close=close)
        elif (
            close
            or type(text) is not str
            or not (known.sends_directly and SyncConsumer.send is _SYNC_SEND)
        ):
            # As `super()` finds it, which would take 0.2 us longer.
            _SYNC_SEND_FRAME(self, text, None, close)
        elif connection.may_send():
            # What that does; its call would take 0.15 us. `hanging_sends` looks for the variable.
            message: Any = {"type": "websocket.send", "text": text}
            try:
                self.base_send(message)
            except Exception as error:
                connection.failed_to_send(error)
                raise

    @classmethod
    def decode_json(cls, text_data: str) -> ContentT:
        """Parse the text of a frame; override it for another format.

        A text of more than 65,536 characters is parsed in another thread, in pieces, so that the
        event loop goes on meanwhile.

        Raises:
            ValueError: The text is not JSON; `NaN` and `Infinity` are refused, too.
        """
        if type(text_data) is str and len(text_data) > _json.LARGE:
            from channels_core import _large_json  # few programs get such a text

            large: ContentT = _large_json.decode_large_now(text_data)
            return large
        content: ContentT = _json.decoder()(text_data)
        return content

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Serialise a value for a frame; override it for another format.

        Raises:
            TypeError: The value cannot be serialised.
        """
        return _json.encoder(class_of(cls).options["json_encoder"])(content)


# What the methods are unless a program, or a test, has replaced them.
_DECODE: Final = vars(AsyncJsonWebsocketConsumer)["decode_json"].__func__
_ENCODE: Final = vars(AsyncJsonWebsocketConsumer)["encode_json"].__func__
_SYNC_DECODE: Final = vars(JsonWebsocketConsumer)["decode_json"].__func__
_SYNC_ENCODE: Final = vars(JsonWebsocketConsumer)["encode_json"].__func__
_SEND_FRAME: Final = AsyncWebsocketConsumer.send
_SYNC_SEND_FRAME: Final = WebsocketConsumer.send


def _decode(consumer: AsyncWebsocketConsumer, text: str) -> Awaitable[None] | None:
    """Do as `AsyncJsonWebsocketConsumer.receive`, but return what `receive_json` returns.

    Returns:
        None if `receive` has to be called, since it is not ours, or the decoding waits.
    """
    kind: Any = type(consumer)
    json_consumer: Any = consumer
    if (
        kind.receive is not _RECEIVE
        or "receive" in vars(consumer)
        or getattr(json_consumer.decode_json, "__func__", None) is not _DECODE
        or type(text) is not str
        or len(text) > _json.LARGE
    ):
        return None
    try:
        content = _json.decoder()(text)
    except (ValueError, RecursionError) as error:
        if (fault := _messages.undecodable(error)) is None:
            raise
        raise fault from error
    result = json_consumer.receive_json(content)
    return result if type(result) is CoroutineType else _await(result)


async def _await(result: Any) -> None:
    """Await what a `receive_json` has returned that is not a coroutine method."""
    await result


_RECEIVE: Final = AsyncJsonWebsocketConsumer.receive
shortcut(AsyncWebsocketConsumer.websocket_receive, "pass_on")
