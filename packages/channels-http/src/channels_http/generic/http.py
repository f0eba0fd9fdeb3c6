"""HTTP consumers: requests that may be held, streamed, and answered by messages of the layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final, Unpack

from channels_core.connection import STOP, begin, class_of, direct, framework, readable
from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import StopConsumer
from channels_core.generic.groups import AsyncGroupMember
from channels_core.headers import HeadersArgument
from channels_core.typing import (
    AnyMessage,
    ConsumerOptions,
    HttpDisconnect,
    HttpRequest,
    Message,
    Receive,
)
from channels_http.generic._http.connection import DISCONNECT, OF_SETTINGS, HttpConnection
from channels_http.generic._http.response import BURST, ENDED

__all__ = ["AsyncHttpConsumer", "HttpOptions"]

_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")


class HttpOptions(ConsumerOptions, total=False):
    """Options of an HTTP consumer; see `AsyncHttpConsumer`."""

    max_body_size: int | None
    body_timeout: float | None
    buffers_body: bool
    response_timeout: float | None


def _call_handler(consumer: AsyncHttpConsumer, message: AnyMessage) -> Any:
    """Do what `dispatch` does, and for most requests without a coroutine of ours.

    Those have no body, and are handled by our `http_request`, by a consumer without groups, whose
    class does not look up attributes itself. The coroutines of `dispatch` and `http_request` would
    take a tenth of the time for a response.

    Returns:
        What to await, None, or `STOP` if the response has ended.
    """
    connection, kind, own = consumer._channels_connection, type(consumer), vars(consumer)
    if (
        kind.http_request is not _HTTP_REQUEST
        or "http_request" in own
        or super(AsyncHttpConsumer, kind).dispatch is not _BASE_DISPATCH
        or kind.__getattribute__ is not _GETATTRIBUTE
        or own.get("groups") != []
        or not connection.is_plain(message)
    ):
        return consumer.dispatch(message)
    connection.has_begun = connection.body_ended = True
    consumer.body = [b""]
    try:
        rest = begin(consumer.handle(b""))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised on, or answered
        return connection.fail(error)
    if rest is not None:
        return connection.finish_handler(rest)
    if connection.response.state is ENDED:
        return STOP
    return connection.handler_ended()


@framework(
    HttpConnection,
    max_body_size=OF_SETTINGS,
    body_timeout=60,
    buffers_body=True,
    response_timeout=None,
)
class AsyncHttpConsumer(AsyncGroupMember):
    """One HTTP request and its response, with coroutine methods.

    Override `handle`, or write a method for each HTTP method (`get`, `post`, ...). It is cancelled
    when the client leaves. If it returns while the response is open (`more_body=True`), the
    consumer lives on and handles messages of the channel layer until one of them ends the
    response, the client leaves, or `response_timeout` has passed.

    Attributes:
        groups: Names of groups to be in from before `handle` to the end: an iterable, a property
            or a method.

    Options:
        max_body_size: The most bytes that a request's body may have; None for no limit. By
            default the setting `DATA_UPLOAD_MAX_MEMORY_SIZE`. A larger body gets status 413.
        body_timeout: Seconds in which the whole body must arrive; None for no limit. With
            `stream_body`, seconds from one part to the next. A slower client gets status 408.
        buffers_body: Whether `handle` is called with the whole body. If not, it is called at
            once with an empty one, and reads the body with `stream_body`.
        response_timeout: Seconds that a response may stay open after `handle` has returned; None
            for no limit.
    """

    # A program may define these as methods. A message of the layer must not reach them.
    get: ClassVar[Any] = None
    post: ClassVar[Any] = None
    put: ClassVar[Any] = None
    patch: ClassVar[Any] = None
    delete: ClassVar[Any] = None
    head: ClassVar[Any] = None
    options: ClassVar[Any] = None
    trace: ClassVar[Any] = None

    # Most requests do not use the layer, so the channel is made when one of these is first read.
    channel_name: str = readable(
        lambda self: self._channels_connection.make_channel("channel_name")
    )
    channel_receive: Receive = readable(
        lambda self: self._channels_connection.make_channel("channel_receive")
    )

    #: The parts of the request's body, for programs that override `http_request`.
    body: list[bytes]

    _channels_connection: HttpConnection

    def __init_subclass__(cls, **options: Unpack[HttpOptions]) -> None:
        """Take the options, and record which methods a message of the layer may reach."""
        rest: Any = options
        super().__init_subclass__(**rest)
        if cls.handle is not AsyncHttpConsumer.handle:
            # `handle` gets the requests, so methods of these names may handle layer messages.
            others = {name: True for name in _METHODS if getattr(cls, name) is not None}
            class_of(cls).handlers.update(others)

    @direct(_call_handler)
    async def dispatch(self, message: AnyMessage) -> None:
        """Hand a message to the method that is named after its type; see `AsyncConsumer`.

        Messages:
            `http.request`, `http.disconnect`, and those of the layer. A handler of one of those
            is cancelled when the client leaves.

        Raises:
            StopConsumer: The response has ended, or the client has left.
            Exception: The handler's own. Behind a `ProtocolTypeRouter`, the client gets status 500
                if no response has started, and another one for `Http404`, `PermissionDenied` and
                the like. A response that has started is cut short.
        """
        connection = self._channels_connection
        try:
            if connection.from_layer and connection.has_begun:
                await connection.while_client_stays(super().dispatch(message))
            else:
                await super().dispatch(message)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised on, or answered
            await connection.answer_error(error)
        if connection.response.state is ENDED or message["type"] == DISCONNECT:
            raise StopConsumer

    # The request

    async def http_request(self, message: HttpRequest) -> None:
        """Read the body, join the groups, and call `handle`.

        Messages:
            `http.request`, the first one; the rest of the body is read here. Parts that arrive
            after `handle` has returned are ignored.
        """
        connection = self._channels_connection
        if connection.has_begun:
            return
        has_body = connection.begin_request(message)
        body = b""
        if connection.options["buffers_body"]:
            if has_body:
                body = await connection.read_body()
            else:
                connection.body_ended = True
            self.body = [body]
        # Most consumers have the empty list that the constructor has set.
        is_in_none = vars(self).get("groups") == []
        work = self.handle(body) if is_in_none else connection.join_and_handle(body)
        try:
            rest = connection.begin_handler(work)
            if rest is not None:
                async with connection.presence() as presence:
                    # Not in a coroutine of ours: each one costs time for each wait of the handler.
                    if await rest.first_wait():
                        await rest
                if presence.expired():
                    return  # The client has left; that is the next message.
        finally:
            connection.body_ended = True  # The rest of the body is not wanted.
        if (answering := connection.handler_ended()) is not None:
            await answering

    async def stream_body(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the parts of the request's body as they arrive.

        The client sends no faster than they are read.

        Args:
            limit: The most bytes that the body may have; None for no limit.

        Raises:
            RequestAborted: The client has left before the end of the body.
            RequestTimeout: The next part did not come within `body_timeout`.
            RequestDataTooBig: The body has more bytes than the limit. If the program does not
                catch it, the client gets status 413 (408 for a time-out), and the consumer ends.
            ConnectionStateError: The body has been read to its end before, or `handle` has
                returned.
        """
        async for part in self._channels_connection.stream_body(limit):
            yield part

    async def handle(self, body: bytes) -> None:
        """Answer the request; by default with the method named after the HTTP method.

        `get` also answers HEAD. OPTIONS is answered with the list of methods that the class has;
        any other method gets status 405.

        Args:
            body: The request's body; empty unless `buffers_body`.

        Raises:
            NotImplementedError: The class has no such method.

        Source: `django.views.View.dispatch`.
        """
        offered = [name for name in _METHODS if getattr(self, name) is not None]
        if not offered:
            error = NotImplementedError(
                "Subclasses of AsyncHttpConsumer must provide a handle() method."
            )
            error.add_note(f"{type(self).__name__} has neither that nor methods such as get().")
            raise error
        name = str(self.scope.get("method", "GET")).lower()
        if name == "head" and self.head is None:
            name = "get"
        if name in offered:
            await getattr(self, name)(body)
            return
        allowed = {*offered, "options", *(["head"] if self.get is not None else [])}
        allow = ", ".join(sorted(allowed)).upper()
        headers = [(b"allow", allow.encode()), (b"content-length", b"0")]
        await self.send_response(200 if name == "options" else 405, b"", headers=headers)

    async def http_response_timeout(self, message: Message) -> None:
        """End a response that has been open for `response_timeout`; override to send a last word.

        Called as well when the server is stopping.

        Messages:
            `http.response.timeout`.
        """
        await self.send_body(b"")

    # The response

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client, unchanged.

        Messages:
            `http.response.start`, `http.response.body`, and any other that the server accepts.
        """
        self._channels_connection.response.note(message)
        await self.base_send(message)

    async def send_headers(
        self, *, status: int = 200, headers: HeadersArgument = None, flush: bool = False
    ) -> None:
        """Start the response.

        If the consumer is in a group, no cache may store the response: `Cache-Control: no-store` is
        added, unless there is another `Cache-Control`.

        Servers hold the headers back until the first part of the body.

        Args:
            status: HTTP status.
            headers: Headers: pairs or a mapping, of str or bytes.
            flush: Whether the headers are sent at once.

        Raises:
            ConnectionStateError: A response has started before.
            ValueError: A header holds CR, LF or NUL.
        """
        connection = self._channels_connection
        start = connection.response.start(status, headers, no_store=connection.is_poll)
        await connection.transmit((start,))
        connection.headers_sent()
        if flush:
            await self.send_body(b"", more_body=True)

    async def send_body(self, body: bytes | str, *, more_body: bool = False) -> None:
        """Send a part of the response's body; does nothing once the client has left.

        Args:
            body: The part; str is encoded as UTF-8.
            more_body: Whether more parts follow. If not, the response ends, and the consumer ends
                when the present handler returns.

        Raises:
            ConnectionStateError: No response has started, or it has ended.
            TypeError: The part is neither bytes nor str.
        """
        response = self._channels_connection.response
        # A stream may have very many parts: the checks in this order, and a count that goes down,
        # save 0.05 of 0.5 us for a part.
        if more_body and type(body) is bytes and (send := response.send_part) is not None:
            try:
                await send({"type": "http.response.body", "body": body, "more_body": True})
            except OSError as error:
                self._channels_connection.could_not_send(error)
        else:
            message = response.body(body, more_body=more_body)
            await self._channels_connection.transmit((message,))
        if left := response.parts_left:
            response.parts_left = left - 1
        else:
            # A server's `send` may return at once for ever, whether the client reads or has left.
            response.parts_left = BURST
            await asyncio.sleep(0)

    async def send_response(
        self, status: int, body: bytes | str, *, headers: HeadersArgument = None, **kwargs: Any
    ) -> None:
        """Send a whole response, with the given headers; see `send_headers`.

        Args:
            status: HTTP status.
            body: The body; str is encoded as UTF-8.
            headers: Headers: pairs or a mapping, of str or bytes.
            kwargs: Further arguments of a program's own `send_headers`.

        Raises:
            ConnectionStateError: A response has started before.
            TypeError: The body is neither bytes nor str, or `send_headers` does not take `kwargs`.
            ValueError: A header holds CR, LF or NUL.
        """
        connection = self._channels_connection
        response = connection.response
        start, part = response.whole(status, body, headers, no_store=connection.is_poll)
        kind = type(self)
        if kind.send_headers is not _SEND_HEADERS or kind.send_body is not _SEND_BODY or kwargs:
            # The program's own methods may add headers, or change the body.
            response.reset()
            await self.send_headers(status=status, headers=start["headers"], **kwargs)
            await self.send_body(body)
        elif (send := connection.server_send) is None or connection.client_is_gone:
            await connection.transmit((start, part))
        else:
            # As `transmit`, without its coroutine: 0.4 of 25 us.
            try:
                await send(start)
                if not connection.client_is_gone:
                    await send(part)
            except OSError as error:
                connection.could_not_send(error)

    # The end

    async def http_disconnect(self, message: HttpDisconnect) -> None:
        """End the consumer; its groups are left, and `disconnect` is called.

        Messages:
            `http.disconnect`.

        Raises:
            StopConsumer: Always.
        """
        raise StopConsumer

    async def disconnect(self) -> None:
        """Override this to clean up when the request has ended.

        Called exactly once for each request, however it ends.
        """


# Compared with what a class has now: a program may override these, and a test may replace them.
_HTTP_REQUEST: Final = AsyncHttpConsumer.http_request
_SEND_HEADERS: Final = AsyncHttpConsumer.send_headers
_SEND_BODY: Final = AsyncHttpConsumer.send_body
_BASE_DISPATCH: Final = AsyncConsumer.dispatch
_GETATTRIBUTE: Final = object.__getattribute__
