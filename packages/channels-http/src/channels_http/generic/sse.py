"""Consumers for server-sent events: a response that goes on, in the browser's own format."""

import json
from typing import Any, Final, Unpack

from django.core.serializers.json import DjangoJSONEncoder

from channels_core.connection import framework
from channels_http.generic._sse import event_format
from channels_http.generic._sse.connection import SseConnection
from channels_http.generic.http import AsyncHttpConsumer, HttpOptions

__all__ = ["AsyncSseConsumer", "SseOptions"]

_NOT_ALLOWED: Final = ((b"allow", b"GET, HEAD"), (b"content-length", b"0"))
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # Neither kept nor compressed on the way, which would hold events back.
    (b"cache-control", b"no-cache, no-transform"),
    # Asks nginx and what follows its example not to buffer.
    (b"x-accel-buffering", b"no"),
]


class SseOptions(HttpOptions, total=False):
    """Options of a stream, which say what its class says of them."""

    keepalive: float | None
    json_encoder: type[json.JSONEncoder]


@framework(SseConnection, keepalive=15, json_encoder=DjangoJSONEncoder)
class AsyncSseConsumer(AsyncHttpConsumer):
    """One stream of events to a browser's `EventSource`.

    Override `connect` to send what a new client needs, and add a method for each type of message
    that other code sends over the channel layer; each calls `send_event`. The stream lasts until
    the client leaves, or `close` ends it.

    Options:
        keepalive: Seconds without an event after which a comment is sent, so that nothing on the
            way takes the connection for dead; None for never.
        json_encoder: Encoder class for events that are no str.
    """

    _channels: SseConnection

    def __init_subclass__(cls, **options: Unpack[SseOptions]) -> None:
        """Take the options of a stream."""
        rest: Any = options
        super().__init_subclass__(**rest)

    @property
    def last_event_id(self) -> str:
        """The id of the last event that this browser got before it connected again; or ""."""
        for name, value in self.scope.get("headers", ()):
            if name.lower() == b"last-event-id":
                return str(value.decode(errors="replace"))
        return ""

    async def handle(self, body: bytes) -> None:
        """Begin the stream and call `connect`; anything but GET gets status 405.

        Args:
            body: The request's body, which is not looked at.
        """
        if self.scope.get("method", "GET") not in ("GET", "HEAD"):
            await self.send_response(405, b"", headers=_NOT_ALLOWED)
            return
        head = self.scope.get("method") == "HEAD"
        await self.send_headers(headers=_HEADERS)
        # The browser takes a stream for open once it has the headers, which go with the first part.
        await self.send_body(b"" if head else event_format.comment(), more_body=not head)
        if not head:
            self._channels.restart_keepalive()
            await self.connect()

    async def connect(self) -> None:
        """Send what a new client needs; nothing unless overridden.

        `last_event_id` tells what it has already. It may go on for as long as the stream does;
        messages of the layer wait until it returns.
        """

    async def send_event(
        self,
        data: Any = None,
        event: str | None = None,
        id: str | int | None = None,  # noqa: A002 - the field's name in the standard
        retry: int | None = None,
    ) -> None:
        """Send one event; does nothing once the client has left.

        Args:
            data: What the page gets as `event.data`: a str as it is, anything else as JSON; None
                for no event, but for the other fields alone.
            event: What the page listens to; None for `message`.
            id: What the browser sends as `Last-Event-ID` when it connects again.
            retry: Milliseconds after which the browser connects again.

        Raises:
            ValueError: A field cannot be sent: see the message.
            TypeError: The data cannot be encoded.
            ConnectionStateError: The stream has not begun, or has ended.
        """
        if data is not None and not isinstance(data, str):
            data = json.dumps(data, cls=self._channels.options["json_encoder"])
        identity = None if id is None else str(id)
        await self.send_body(event_format.event(data, event, identity, retry), more_body=True)
        self._channels.restart_keepalive()

    async def close(self) -> None:
        """End the stream. The browser connects again after a while, unless the page closes it."""
        await self.send_body(b"")
