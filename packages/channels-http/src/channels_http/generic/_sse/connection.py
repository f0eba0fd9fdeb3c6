"""The companion of consumers for server-sent events: it keeps a quiet stream alive."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, Final

from channels_core.connection import ConsumerClass
from channels_http.generic._http.connection import HttpConnection
from channels_http.generic._sse import event_format

__all__ = ["SseConnection"]

logger: Final = logging.getLogger("django.channels.http")


class SseConnection(HttpConnection):
    """The companion of an `AsyncSseConsumer`."""

    __slots__ = ("_comment", "_sent_at", "_timer_of_comments")

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        """Begin without a stream."""
        super().__init__(consumer, known)
        # Fires when a comment may be due; None before and after the stream.
        self._timer_of_comments: asyncio.TimerHandle | None = None
        # When the last event went out, by `monotonic`.
        self._sent_at = 0.0
        # Sends the last comment.
        self._comment: asyncio.Task[None] | None = None

    @property
    def _keepalive(self) -> float | None:
        seconds: float | None = self.options["keepalive"]
        return seconds

    def restart_keepalive(self) -> None:
        """Record that something was sent just now."""
        seconds = self.options["keepalive"]
        if seconds is None:
            return
        self._sent_at = monotonic()
        # A timer goes on: to set it anew for each event would cost more than the event itself.
        if self._timer_of_comments is None:
            self._check_later(seconds)

    def _check_later(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer_of_comments = loop.call_later(seconds, self._check)

    def _check(self) -> None:
        """Send a comment if it is time for one, or check again when it is."""
        self._timer_of_comments = None
        if self._keepalive is None or self.client_is_gone or not self.response.streams:
            return
        left = self._sent_at + self._keepalive - monotonic()
        if left > 0:
            self._check_later(left)
        else:
            self._comment = asyncio.create_task(self._send_comment())

    async def _send_comment(self) -> None:
        if self.client_is_gone or not self.response.streams:
            return  # It has ended since the timer ran out.
        try:
            await self.consumer.send_body(event_format.comment(), more_body=True)
        except Exception:
            # The next event meets the same fault, in a handler.
            logger.exception("A comment that keeps a stream of events alive could not be sent")
        else:
            self.restart_keepalive()

    def has_nothing_to_finish(self) -> bool:
        """Return whether no timer runs, and an ordinary request would have nothing to finish."""
        return self._timer_of_comments is None and super().has_nothing_to_finish()

    async def finish(self) -> None:
        """End the comments, then leave the groups and call `disconnect`."""
        if self._timer_of_comments is not None:
            self._timer_of_comments.cancel()
        if self._comment is not None:
            self._comment.cancel()
        await super().finish()
