"""The body of a request: read whole within a limit, or part by part."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

from channels_core.exceptions import ConnectionStateError, RequestAborted, RequestTimeout
from channels_core.typing import Message
from channels_http.generic._inbox import DISCONNECT, Inbox

__all__ = ["RequestBody"]


class _LimitOfSettings:
    """The setting that bounds a request's body, for consumers that have no bound of their own."""

    def __get__(self, consumer: object, owner: type) -> int | None:
        limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        return limit


class RequestBody:
    """What a consumer has that reads the body of its request."""

    _channels_framework: ClassVar[bool] = True

    _channels_options: ClassVar[tuple[str, ...]] = (
        "max_body_size",
        "body_timeout",
        "buffers_body",
    )
    # Any: a program gives an int, or None.
    _channels_max_body_size: Any = _LimitOfSettings()
    _channels_body_timeout: float | None = 60
    _channels_buffers_body: bool = True

    # Of the consumer this is mixed into.
    _channels_inbox: Inbox
    _channels_peer_left: Callable[[Message], None]

    _channels_unread: Message | None = None
    _channels_body_ended = False

    def _channels_expect_body(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Begin before the body does, where the request announces one.

        A server may have nothing to tell before the first byte of it, and that may never come.
        """
        length = b"0"
        announced = waits = False
        for given, value in headers:
            # Servers write names in lower case; a test may not.
            name = given.lower()
            if name == b"content-length":
                length = value
                announced = announced or value != b"0"
            elif name == b"transfer-encoding":
                announced = True
            elif name == b"expect":
                waits = value.lower() == b"100-continue"
        if not (announced or waits):
            return
        self._channels_inbox.put({"type": "http.request", "body": b"", "more_body": True})
        limit = self._channels_max_body_size
        # A number of more digits is more than any limit, and perhaps more than int() takes.
        size = int(length[:20]) if length.isdigit() else 0
        if waits and (not self._channels_buffers_body or (limit is not None and size > limit)):
            # The server asks the client for its body when it is first read: not before it is
            # wanted, and never if it is too large.
            self._channels_inbox.held = True

    async def stream_body(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the parts of the request's body as they arrive.

        The client sends no faster than they are read.

        Args:
            limit: Bytes that are taken; None for any.

        Raises:
            RequestAborted: The client has left before the end of the body.
            RequestTimeout: The next part did not come within `body_timeout`.
            RequestDataTooBig: There are more bytes than the limit. Left alone, each of these is
                answered (413, 408) and ends the consumer.
            ConnectionStateError: The body has been read to its end before, or `handle` has
                returned.
        """
        if self._channels_body_ended:
            raise ConnectionStateError(
                "The request's body has been read already, or is not kept after handle; to read "
                "it in handle part by part, once, give its class the option buffers_body=False"
            )
        size = 0
        while not self._channels_body_ended:
            message = await self._channels_next_part()
            part = message.get("body", b"")
            self._channels_body_ended = not message.get("more_body", False)
            size += len(part)
            if limit is not None and size > limit:
                raise RequestDataTooBig(f"The request's body has more than {limit} bytes")
            if part:
                yield part

    async def _channels_next_part(self) -> Message:
        message, self._channels_unread = self._channels_unread, None
        if message is None:
            try:
                async with asyncio.timeout(self._channels_body_timeout):
                    message = await self._channels_inbox.read()
            except TimeoutError:
                raise RequestTimeout(
                    f"The request's body did not come within {self._channels_body_timeout} seconds"
                ) from None
        if message["type"] == DISCONNECT:
            self._channels_peer_left(message)
            self._channels_inbox.put(message)
            raise RequestAborted("The client has left before the end of the request's body")
        return message

    async def _channels_read_body(self) -> bytes:
        limit = self._channels_max_body_size
        message = self._channels_unread
        assert message is not None  # the first one
        if self._channels_inbox.held:
            raise RequestDataTooBig(f"The request's body would have more than {limit} bytes")
        if not message.get("more_body"):
            self._channels_body_ended = True
            body: bytes = message.get("body", b"")
            if limit is not None and len(body) > limit:
                raise RequestDataTooBig(f"The request's body has more than {limit} bytes")
            return body
        try:
            async with asyncio.timeout(self._channels_body_timeout):
                return b"".join([part async for part in self.stream_body(limit)])
        except TimeoutError:
            raise RequestTimeout(
                f"The request's body did not come within {self._channels_body_timeout} seconds"
            ) from None
