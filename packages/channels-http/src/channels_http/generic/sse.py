"""Consumers for server-sent events: a response that goes on, in the browser's own format."""

import asyncio
import json
import logging
from time import monotonic
from typing import Any, ClassVar, Final, Unpack

from django.core.serializers.json import DjangoJSONEncoder

from channels_http.generic import _frames
from channels_http.generic.http import AsyncHttpConsumer, HttpOptions

__all__ = ["AsyncSseConsumer", "SseOptions"]

logger: Final = logging.getLogger("django.channels.http")

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

    _channels_framework: ClassVar[bool] = True

    _channels_options: ClassVar[tuple[str, ...]] = ("keepalive", "json_encoder")
    _channels_keepalive: float | None = 15
    _channels_json_encoder: type[json.JSONEncoder] = DjangoJSONEncoder

    _channels_keepalive_timer: asyncio.TimerHandle | None = None
    _channels_sent_at = 0.0
    _channels_comment: asyncio.Task[None] | None = None

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
        await self.send_body(b"" if head else _frames.comment(), more_body=not head)
        if not head:
            self._channels_restart_keepalive()
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
            data = json.dumps(data, cls=self._channels_json_encoder)
        identity = None if id is None else str(id)
        await self.send_body(_frames.event(data, event, identity, retry), more_body=True)
        self._channels_restart_keepalive()

    async def close(self) -> None:
        """End the stream. The browser connects again after a while, unless the page closes it."""
        await self.send_body(b"")

    def _channels_restart_keepalive(self) -> None:
        if self._channels_keepalive is None:
            return
        self._channels_sent_at = monotonic()
        # A timer goes on: to set it anew for each event would cost more than the event itself.
        if self._channels_keepalive_timer is None:
            self._channels_look_later(self._channels_keepalive)

    def _channels_look_later(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._channels_keepalive_timer = loop.call_later(seconds, self._channels_look)

    def _channels_look(self) -> None:
        """Send a comment if it is time for one, or look again when it is."""
        self._channels_keepalive_timer = None
        if self._channels_keepalive is None or not self._channels_response.streams:
            return
        left = self._channels_sent_at + self._channels_keepalive - monotonic()
        if left > 0:
            self._channels_look_later(left)
        else:
            self._channels_comment = asyncio.create_task(self._channels_send_comment())

    async def _channels_send_comment(self) -> None:
        if not self._channels_response.streams:
            return  # It has ended since the timer ran out.
        try:
            await self.send_body(_frames.comment(), more_body=True)
        except Exception:
            # The next event meets the same fault, in a handler.
            logger.exception("A comment that keeps a stream of events alive could not be sent")
        else:
            self._channels_restart_keepalive()

    def _channels_ends_silently(self) -> bool:
        return self._channels_keepalive_timer is None and super()._channels_ends_silently()

    async def _channels_finish(self) -> None:
        if self._channels_keepalive_timer is not None:
            self._channels_keepalive_timer.cancel()
        if self._channels_comment is not None:
            self._channels_comment.cancel()
        await super()._channels_finish()
