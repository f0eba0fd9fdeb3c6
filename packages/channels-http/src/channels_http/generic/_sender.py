"""The response to a request: sent whole, or part by part."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from channels_core.headers import HeadersArgument
from channels_core.typing import Message, Send
from channels_http.generic._inbox import Inbox
from channels_http.generic._response import Response, ResponseState

__all__ = ["ResponseSender"]

logger = logging.getLogger("django.channels.http")

#: After so many parts of a stream that were sent without a pause, other connections get a turn.
_BURST: Final = 512


class ResponseSender:
    """What a consumer has that sends a response."""

    _channels_framework: ClassVar[bool] = True

    # Whether a program has taken over a part of `send_response`, or sends by its own `send`.
    _channels_composed: ClassVar[bool] = False
    _channels_own_send: ClassVar[bool] = False

    # Of the consumer this is mixed into.
    _channels_inbox: Inbox
    base_send: Callable[[Message], Any]

    _channels_response: Response
    _channels_transmit: Callable[[Message], Any]
    _channels_left = False
    _channels_burst = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """See what the new class has of its own."""
        super().__init_subclass__(**kwargs)
        cls._channels_own_send = cls.send is not ResponseSender.send
        cls._channels_composed = (
            cls.send_headers is not ResponseSender.send_headers
            or cls.send_body is not ResponseSender.send_body
        )

    def _channels_make_base_send(self, send: Send) -> Callable[[Message], Any]:
        self._channels_transmit = self.send if self._channels_own_send else send
        return send

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client, as it is.

        Messages:
            `http.response.start`, `http.response.body`, and what else a server takes.
        """
        self._channels_response.note(message)
        await self.base_send(message)

    async def send_headers(
        self, *, status: int = 200, headers: HeadersArgument = None, flush: bool = False
    ) -> None:
        """Start the response.

        Servers hold the headers back until the first part of the body.

        Args:
            status: HTTP status.
            headers: Headers: pairs or a mapping, of str or bytes.
            flush: Whether the headers go out at once.

        Raises:
            ConnectionStateError: A response has started before.
            ValueError: A header holds CR, LF or NUL.
        """
        await self._channels_send_all([self._channels_response.start(status, headers)])
        if self._channels_inbox.held:
            self._channels_inbox.release()
        if flush:
            await self.send_body(b"", more_body=True)

    async def send_body(self, body: bytes | str, *, more_body: bool = False) -> None:
        """Send a part of the response's body; does nothing once the client has left.

        Args:
            body: The part; str is encoded as UTF-8.
            more_body: Whether more is to come. Without, the response ends, and so does the
                consumer when the present handler has.

        Raises:
            ConnectionStateError: No response has started, or it has ended.
            TypeError: The part is neither bytes nor str.
        """
        if more_body and self._channels_response.streams and type(body) is bytes:
            # The short way: a stream may have very many parts.
            try:
                await self._channels_transmit(
                    {"type": "http.response.body", "body": body, "more_body": True}
                )
            except OSError as error:
                self._channels_could_not_send(error)
        else:
            part = self._channels_response.body(body, more_body=more_body)
            await self._channels_send_all([part])
        self._channels_burst += 1
        if self._channels_burst >= _BURST:
            # A server's `send` may return at once for ever, whether the client reads or has left.
            self._channels_burst = 0
            await asyncio.sleep(0)

    async def send_response(
        self, status: int, body: bytes | str, *, headers: HeadersArgument = None, **kwargs: Any
    ) -> None:
        """Send a whole response; headers go out as they are given, and no other ones.

        Args:
            status: HTTP status.
            body: The body; str is encoded as UTF-8.
            headers: Headers: pairs or a mapping, of str or bytes.
            kwargs: What else a program's own `send_headers` takes.

        Raises:
            ConnectionStateError: A response has started before.
            TypeError: The body is neither bytes nor str, or `send_headers` does not take `kwargs`.
            ValueError: A header holds CR, LF or NUL.
        """
        start, part = self._channels_response.whole(status, body, headers)
        if self._channels_composed or kwargs:
            # A program adds to every response there what it adds to one in parts.
            self._channels_response.reset()
            await self.send_headers(status=status, headers=start["headers"], **kwargs)
            await self.send_body(body)
        else:
            await self._channels_send_all((start, part))

    async def _channels_send_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self._channels_left:
                return
            try:
                await self._channels_transmit(message)
            except OSError as error:
                self._channels_could_not_send(error)

    async def _channels_answer(self, messages: Iterable[Message]) -> None:
        """Send a whole response that is not the program's."""
        self._channels_response.state = ResponseState.ENDED
        await self._channels_send_all(messages)

    def _channels_could_not_send(self, error: OSError) -> None:
        # ASGI, HTTP: this is how a server tells that the client has left.
        logger.debug("The client left before a message could be sent: %r", error)
        self._channels_lose_client()

    def _channels_lose_client(self) -> None:
        self._channels_left = True
        self._channels_response.streams = False

    def _channels_peer_left(self, message: Message) -> None:
        self._channels_lose_client()
