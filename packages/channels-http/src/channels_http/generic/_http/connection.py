"""The companion of HTTP consumers: the request's body, the state of the response, and the end.

A request is handled in the server's task. While a handler runs, a task beside it reads what the
server sends, so that the handler can be cancelled when the client leaves. If the response is still
open when `handle` has returned, it is held: the connection lives on and handles messages of the
channel layer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, ClassVar, Final, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

from channels_core.abort import abort_response
from channels_core.client_log import log_of_client
from channels_core.connection import Connection, ConsumerClass, Rest, begin, is_overridden
from channels_core.exceptions import (
    ConnectionStateError,
    ConsumerSignal,
    RequestAborted,
    RequestTimeout,
    RouteNotFound,
    StopConsumer,
)
from channels_core.headers import HeadersArgument, may_add_headers
from channels_core.refusal import failures_are_answered, refusal
from channels_core.typing import Message, Scope, Send
from channels_http.generic._http.error_responses import debug_page, status_of
from channels_http.generic._http.response import ENDED, OPEN, WAITING, Response

__all__ = ["DISCONNECT", "OF_SETTINGS", "TIMEOUT", "HttpConnection"]

logger: Final = logging.getLogger("django.channels.http")

DISCONNECT: Final = "http.disconnect"
#: Type of the message that we put in the mailbox when a held response has been open long enough.
TIMEOUT: Final = "http.response.timeout"

#: The headers that tell whether a request has a body, and whether the client sends it at once.
_ABOUT_BODY: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})

#: Default of the option `max_body_size`.
OF_SETTINGS: Final = object()


class _Unanswered(StopConsumer):
    """The consumer has ended without a response, and that is logged."""


class HttpConnection(Connection):
    """The companion of an HTTP consumer.

    Attributes:
        response: The state of the response.
        has_begun: Whether the request has been given to `http_request`.
        body_ended: Whether the request's body has been read, or may not be read any more.
        client_is_gone: Whether the client has left, so that nothing is sent.
        server_send: Sends to the server; None if the program has overridden `send`, which is
            called instead.
    """

    # A client that sends a large body waits until it is read.
    frames_ahead: ClassVar[int] = 1
    answers_first: ClassVar[bool] = True
    has_disconnect: ClassVar[bool] = True

    __slots__ = (
        "_first_part",
        "_is_held",
        "_presence",
        "_timer",
        "_waits_for_continue",
        "body_ended",
        "client_is_gone",
        "has_begun",
        "response",
        "server_send",
    )

    def __init__(self, consumer: Any, known: ConsumerClass) -> None:
        """Begin before the request."""
        super().__init__(consumer, known)
        self.response = Response()
        self.has_begun = False
        self.body_ended = False
        self.client_is_gone = False
        # The first message of the request, until the body is read.
        self._first_part: Message | None = None
        # Whether the server asks the client for the body when it is first read, since the client
        # has sent `Expect: 100-continue`.
        self._waits_for_continue = False
        # Whether the response is open and no handler runs.
        self._is_held = False
        # Ends a held response after `response_timeout`.
        self._timer: asyncio.TimerHandle | None = None
        # Cancels the handler when the client leaves; None while no handler has waited.
        self._presence: asyncio.Timeout | None = None
        self.server_send: Send | None = None
        # Here, since one more `__init__` of consumers, with its `super()`, takes 0.5 us.
        consumer.body = []

    # The protocol's part

    def ended(self, failure: BaseException | None) -> BaseException | None:
        """End the timer of a held response, and cut a response short that has failed.

        Returns:
            A `ConnectionStateError` if a handler has raised `StopConsumer` in an open response.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self.response.state is not OPEN:
            return failure
        if failure is None and not (self.client_is_gone or self.is_drained):
            kind = type(self.consumer).__name__
            failure = ConnectionStateError(f"{kind} has ended in its response")
        if isinstance(failure, Exception):
            abort_response(self.consumer.scope)
        return failure

    def begin(self, scope: Scope) -> None:
        """Put a first part of the body in the mailbox if the request announces a body.

        A server may report nothing before the first byte, and that may never come.
        """
        response = self.response
        response.expect(head=scope.get("method") == "HEAD", as_given=not failures_are_answered())
        if is_overridden(self._consumer(), "send"):
            self.server_send = None
        response.server_send = self.server_send
        length = b"0"
        announced = waits = False
        for given, value in scope.get("headers", ()):
            # Servers write names in lower case; a test may not.
            name = given.lower()
            if name not in _ABOUT_BODY:
                continue
            if name == b"content-length":
                length = value
                announced = announced or value != b"0"
            elif name == b"transfer-encoding":
                announced = True
            else:
                waits = value.lower() == b"100-continue"
        if not (announced or waits) or self.mailbox is None:
            return
        self.mailbox.put({"type": "http.request", "body": b"", "more_body": True})
        limit = self._max_body_size
        # A number of more digits is more than any limit, and perhaps more than int() takes.
        size = int(length[:20]) if length.isdigit() else 0
        if waits and (not self.options["buffers_body"] or (limit is not None and size > limit)):
            # The client is asked for its body when it is wanted, and never if it is too large.
            self._waits_for_continue = True

    def watch_send(self, send: Send) -> Send:
        """Keep what sends for the methods that send parts of a response."""
        self.server_send = send
        return send

    def client_left(self, message: Message) -> None:
        """Record that nobody reads the response."""
        self.lose_client()

    def drain(self) -> None:
        """End a held response when the server stops, as if it had been open long enough."""
        self.is_drained = True
        if self._is_held and self.mailbox is not None:
            self.mailbox.put({"type": TIMEOUT})

    def has_nothing_to_finish(self) -> bool:
        """Return whether there are no groups to leave, and the program has no `disconnect`."""
        consumer = self._consumer()
        if self.groups.joined or vars(consumer).get("groups"):
            return False  # perhaps; `finish` looks closer
        return not is_overridden(consumer, "disconnect")

    # The request

    @property
    def _max_body_size(self) -> int | None:
        limit = self.options["max_body_size"]
        if limit is OF_SETTINGS:
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        size: int | None = limit
        return size

    def begin_request(self, message: Message) -> bool:
        """Record the first message of the request, and return whether there is a body to read."""
        self.has_begun = True
        self._first_part = message
        return bool(self._waits_for_continue or message.get("more_body") or message.get("body"))

    def is_plain(self, message: Message) -> bool:
        """Return whether a message is a request of which nothing is left to read."""
        return (
            message.get("type") == "http.request"
            and not self.has_begun
            and not (self._waits_for_continue or message.get("more_body") or message.get("body"))
            and self.options["buffers_body"]
        )

    async def stream_body(self, limit: int | None) -> AsyncIterator[bytes]:
        """Iterate over the parts of the body; see `AsyncHttpConsumer.stream_body`."""
        if self.body_ended:
            raise ConnectionStateError(
                "The request's body has been read already, or is not kept after handle; to read "
                "it in handle part by part, once, give its class the option buffers_body=False"
            )
        size = 0
        while not self.body_ended:
            message = await self._next_part()
            part = message.get("body", b"")
            self.body_ended = not message.get("more_body", False)
            size += len(part)
            if limit is not None and size > limit:
                raise RequestDataTooBig(f"The request's body has more than {limit} bytes")
            if part:
                yield part

    async def _next_part(self) -> Message:
        message, self._first_part = self._first_part, None
        mailbox = self.mailbox
        assert mailbox is not None  # the request has come out of it
        if message is None:
            seconds = self.options["body_timeout"]
            try:
                async with asyncio.timeout(seconds):
                    message = await mailbox.read()
            except TimeoutError:
                raise RequestTimeout(
                    f"The request's body did not come within {seconds} seconds"
                ) from None
        if message["type"] == DISCONNECT:
            self.lose_client()
            mailbox.put(message)
            raise RequestAborted("The client has left before the end of the request's body")
        return message

    async def read_body(self) -> bytes:
        """Read the whole body of a request that has one.

        Raises:
            RequestDataTooBig: It is larger than `max_body_size`.
            RequestTimeout: It is not there within `body_timeout`.
            RequestAborted: The client has left before its end.
        """
        message = self._first_part
        assert message is not None  # `begin_request` has set it
        limit = self._max_body_size
        if self._waits_for_continue:
            raise RequestDataTooBig(f"The request's body would have more than {limit} bytes")
        if not message.get("more_body"):
            self.body_ended = True
            body: bytes = message.get("body", b"")
            if limit is not None and len(body) > limit:
                raise RequestDataTooBig(f"The request's body has more than {limit} bytes")
            return body
        seconds = self.options["body_timeout"]
        try:
            async with asyncio.timeout(seconds):
                return b"".join([part async for part in self.stream_body(limit)])
        except TimeoutError:
            raise RequestTimeout(
                f"The request's body did not come within {seconds} seconds"
            ) from None

    async def join_and_handle(self, body: bytes) -> None:
        """Join the groups that the consumer's class names, and call `handle`."""
        consumer = self.consumer
        for name in self.join_declared(consumer):
            await self.groups.join(consumer, name)
        await consumer.handle(body)

    def begin_handler(self, work: Awaitable[None]) -> Rest | None:
        """Run a handler until it waits for the first time.

        Most handlers answer without ever waiting: nobody has to watch the client of these. So the
        task that reads is made, with all that belongs to it, when the handler waits first.

        Args:
            work: What the handler has returned, nearly always a coroutine.

        Returns:
            The rest of the handler, to be awaited within `presence`; None if it has ended.
        """
        mailbox = self.mailbox
        assert mailbox is not None  # a message has come out of it
        mailbox.watch(self._leave)
        rest = None
        try:
            rest = begin(work)
        finally:
            if rest is None:
                mailbox.unwatch()
        return rest

    @asynccontextmanager
    async def presence(self) -> AsyncIterator[asyncio.Timeout]:
        """Cancel a handler that waits when the client leaves or the server fails.

        Returns:
            What has expired if the client has left. It is not a limit of time: the client's leaving
            reschedules it to now.
        """
        mailbox = self.mailbox
        assert mailbox is not None  # a message has come out of it
        presence = self._presence = asyncio.timeout(None)
        mailbox.keep_watch(reads=not self._waits_for_continue)
        try:
            async with presence:
                yield presence
        except TimeoutError:
            if not presence.expired():
                raise
        finally:
            mailbox.unwatch()

    async def finish_handler(self, rest: Rest) -> None:
        """Wait for the rest of `handle` in a plain request, and do what `dispatch` does then.

        Raises:
            StopConsumer: The response has ended, or nobody waits for one.
            Exception: As `dispatch`.
        """
        mailbox = self.mailbox
        assert mailbox is not None  # `serve` has begun
        try:
            mailbox.watch(self._leave)
            async with self.presence() as presence:
                if await rest.first_wait():
                    await rest
            if presence.expired():
                return  # The client has left; that is the next message.
            if (answering := self.handler_ended()) is not None:
                await answering
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised on, or answered
            await self.answer_error(error)
        if self.response.state is ENDED:
            raise StopConsumer

    async def fail(self, error: Exception | asyncio.CancelledError) -> None:
        """Answer a request whose handler has raised an exception before it waited."""
        try:
            raise error
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - raised on, or answered
            await self.answer_error(error)
        finally:
            del error  # its traceback holds this frame

    def handler_ended(self) -> Awaitable[None] | None:
        """Hold an open response after `handle` has returned.

        Returns:
            What answers a request that has no response, to be awaited.
        """
        state = self.response.state
        if state is WAITING and self.is_unanswered:
            return self._end_without_answer()
        if state is OPEN:
            self.hold()
        return None

    async def _end_without_answer(self) -> NoReturn:
        await self.answer_nothing("returned from handle")
        raise _Unanswered

    async def while_client_stays(self, work: Awaitable[None]) -> None:
        """Wait for a handler, and cancel it when the client leaves or the server fails."""
        rest = self.begin_handler(work)
        if rest is not None:
            async with self.presence():
                if await rest.first_wait():
                    await rest

    def _leave(self) -> None:
        """Cancel the handler that waits, since the client has left."""
        # A server reports the same when the response is complete: what follows goes on.
        if self.response.state is not ENDED:
            self.lose_client()
            assert self._presence is not None  # nobody has read before the handler first waited
            self._presence.reschedule(asyncio.get_running_loop().time())

    def hold(self) -> None:
        """Keep an open response after `handle` has returned."""
        mailbox = self.mailbox
        assert mailbox is not None  # the request has come out of it
        self._is_held = True
        seconds = self.options["response_timeout"]
        if self.is_drained:
            self.drain()
        elif seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, mailbox.put, {"type": TIMEOUT})

    async def answer_error(self, error: Exception | asyncio.CancelledError) -> NoReturn:
        """Answer a request whose handler has raised an exception, and raise what ends it.

        Raises:
            StopConsumer: The client has left, or has been told why the request is refused.
            Exception: The handler's own otherwise; a `RuntimeError` if something was cancelled
                that the handler awaited.
        """
        try:
            if isinstance(error, StopConsumer):
                if self.is_unanswered and not isinstance(error, _Unanswered):
                    await self.answer_nothing("stopped")
                raise error
            if isinstance(error, asyncio.CancelledError):
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise error
                name = type(self.consumer).__name__
                text = f"{name} awaited something that was cancelled"
                await self._answer_exception(RuntimeError(text), error)
            await self._answer_exception(error, error.__cause__)
        finally:
            # The exception's traceback holds this frame: leave no circle to the garbage collector.
            del error

    # The response

    @property
    def is_unanswered(self) -> bool:
        """Whether no response has begun, and the client is there to get one."""
        return self.response.state is WAITING and not self.client_is_gone

    @property
    def is_poll(self) -> bool:
        """Whether the response is for this moment only, since the consumer is in a group."""
        groups = self.groups
        consumer: Any = self._consumer()
        # Without a call for a consumer that has nothing to do with groups.
        maybe = groups.joined or vars(consumer).get("groups")
        return bool(maybe and groups.to_leave(consumer)) and may_add_headers(consumer.scope)

    def headers_sent(self) -> None:
        """Read ahead from now on: after the headers, no server asks the client for its body."""
        if self._waits_for_continue:
            self._waits_for_continue = False
            assert self.mailbox is not None  # `begin` has used it
            self.mailbox.start_reading()

    async def transmit(self, messages: Iterable[Message]) -> None:
        """Send messages, unless the client has left."""
        for message in messages:
            if self.client_is_gone:
                return
            try:
                if self.server_send is None:
                    await self.consumer.send(message)
                else:
                    await self.server_send(message)
            except OSError as error:
                self.could_not_send(error)

    def could_not_send(self, error: OSError) -> None:
        """Record the error by which a server reports that the client has left (ASGI, HTTP)."""
        logger.debug("The client left before a message could be sent: %r", error)
        self.lose_client()

    def lose_client(self) -> None:
        """Record that the client has left."""
        self.client_is_gone = True
        self.response.lose_client()

    # Responses that are not the program's own

    async def _answer_exception(self, error: Exception, cause: BaseException | None) -> NoReturn:
        try:
            if isinstance(error, RequestAborted) and not isinstance(error, RequestTimeout):
                raise StopConsumer from None  # The client has left: there is nobody to answer.
            if not self.is_unanswered or isinstance(error, ConsumerSignal | RouteNotFound):
                raise error from cause
            if self.meets_outage(error):
                await self._answer(refusal(self.consumer.scope, 503, body="Service Unavailable"))
                raise StopConsumer from None
            status = status_of(error)
            if not (
                failures_are_answered() or isinstance(error, RequestDataTooBig | RequestTimeout)
            ):
                # A test may expect the exception. Only our own limits are always answered: what is
                # tested does not know of them.
                raise error from cause
            if status is not None:
                await self._refuse(status, error)
                raise StopConsumer from None
            await self._answer_failure(error)
            raise error from cause
        finally:
            del error, cause  # as above

    async def answer_nothing(self, how: str) -> None:
        """Answer a request for which the program has sent nothing.

        Args:
            how: How the consumer has ended, for the log.
        """
        consumer = self.consumer
        logger.error(
            "%s %s without a response to %s %.200r; call send_response(), or "
            "send_headers() and then send_body(more_body=True) to answer later",
            type(consumer).__name__,
            how,
            consumer.scope.get("method"),
            consumer.scope.get("path"),
        )
        if failures_are_answered():
            await self._answer(refusal(consumer.scope, 500, body="Server Error (500)"))

    async def _refuse(self, status: HTTPStatus, error: Exception) -> None:
        scope = self.consumer.scope
        log_of_client(
            logger,
            logging.WARNING,
            scope,
            "%s %.200r: %s: %.500r",
            scope.get("method"),
            scope.get("path"),
            status.phrase,
            str(error),
            kind=status,
        )
        await self._answer(refusal(scope, int(status), body=status.phrase))

    async def _answer_failure(self, error: Exception) -> None:
        """Answer status 500: with Django's page of the error under `DEBUG`, plainly otherwise."""
        scope = self.consumer.scope
        body: bytes | str = "Server Error (500)"
        headers: HeadersArgument = None
        if settings.DEBUG:
            try:
                body, headers = await asyncio.to_thread(debug_page, scope, error)
            except Exception:
                logger.exception("Django's page of an error could not be made")
        await self._answer(refusal(scope, 500, headers=headers, body=body))

    async def _answer(self, messages: Iterable[Message]) -> None:
        self.response.state = ENDED
        await self.transmit(messages)
