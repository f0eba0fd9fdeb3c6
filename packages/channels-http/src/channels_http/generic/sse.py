"""Consumers for server-sent events: a response that stays open, for a browser's `EventSource`."""

from __future__ import annotations

import json
from typing import Any, Final, Unpack

from django.core.serializers.json import DjangoJSONEncoder

from channels_core.connection import framework
from channels_http.generic._sse import event_format
from channels_http.generic._sse.connection import SseConnection
from channels_http.generic.http import AsyncHttpConsumer, HttpOptions

__all__ = ["AsyncSseConsumer", "SseOptions"]

_NOT_ALLOWED: Final = ((b"allow", b"GET, HEAD"), (b"content-length", b"0"))
# Django's keeps no state, and to make one takes 0.8 of 2.5 us for an event. One of a program may
# rely on being made anew.
_ENCODER: Final = DjangoJSONEncoder()
#: Tests, and faster packages, may replace it.
_DUMPS: Final = json.dumps
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # The events are one user's, and an old stream is of no use. Nor may a proxy compress it, which
    # would delay events.
    (b"cache-control", b"no-store, no-transform"),
    # Tells nginx, and proxies that know its header, not to buffer.
    (b"x-accel-buffering", b"no"),
]


class SseOptions(HttpOptions, total=False):
    """Options of a stream of events; see `AsyncSseConsumer`."""

    keepalive: float | None
    json_encoder: type[json.JSONEncoder]


@framework(SseConnection, keepalive=15, json_encoder=DjangoJSONEncoder)
class AsyncSseConsumer(AsyncHttpConsumer):
    """One stream of events to a browser's `EventSource`.

    Override `connect` to send what a new client needs, and add a method for each type of message
    that other code sends over the channel layer; each calls `send_event`. The stream lasts until
    the client leaves, or `close` ends it.

    Options:
        keepalive: Seconds without an event after which a comment is sent, which keeps proxies from
            closing the connection; None for no comments.
        json_encoder: Encoder class for the data of events that is not a str.
    """

    _channels_connection: SseConnection

    def __init_subclass__(cls, **options: Unpack[SseOptions]) -> None:
        """Take the options of a stream."""
        rest: Any = options
        super().__init_subclass__(**rest)

    @property
    def last_event_id(self) -> str:
        """The id of the last event that the browser received before it reconnected; or ""."""
        for name, value in self.scope.get("headers", ()):
            if name.lower() == b"last-event-id":
                return str(value.decode(errors="replace"))
        return ""

    async def handle(self, body: bytes) -> None:
        """Begin the stream and call `connect`; methods other than GET and HEAD get status 405.

        Args:
            body: The request's body, which is ignored.
        """
        if self.scope.get("method", "GET") not in ("GET", "HEAD"):
            await self.send_response(405, b"", headers=_NOT_ALLOWED)
            return
        head = self.scope.get("method") == "HEAD"
        await self.send_headers(headers=_HEADERS)
        # The browser takes a stream for open once it has the headers, which go with the first part.
        await self.send_body(b"" if head else event_format.comment(), more_body=not head)
        if not head:
            self._channels_connection.restart_keepalive()
            await self.connect()

    async def connect(self) -> None:
        """Override this to send what a new client needs.

        `last_event_id` tells which events the client has received already. The method may run for
        as long as the stream lasts; messages of the layer wait until it returns.
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
            data: The page's `event.data`: a str unchanged, anything else as JSON; None to send the
                other fields only, without an event.
            event: The event's type, to which the page listens; None for `message`.
            id: The browser sends it as `Last-Event-ID` when it reconnects.
            retry: Milliseconds after which the browser reconnects.

        Raises:
            ValueError: A field has a value that cannot be sent.
            TypeError: The data cannot be encoded.
            ConnectionStateError: The stream has not begun, or has ended.
        """
        if data is not None and not isinstance(data, str):
            encoder = self._channels_connection.options["json_encoder"]
            if encoder is DjangoJSONEncoder and json.dumps is _DUMPS:
                data = _ENCODER.encode(data)
            else:
                data = json.dumps(data, cls=encoder)
        identity = None if id is None else str(id)
        await self.send_body(event_format.event(data, event, identity, retry), more_body=True)
        self._channels_connection.restart_keepalive()

    async def close(self) -> None:
        """End the stream. The browser reconnects after a while, unless the page closes it."""
        await self.send_body(b"")
