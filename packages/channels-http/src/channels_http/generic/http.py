"""HTTP consumers: requests that may be held, streamed, and answered by messages of the layer."""

import asyncio
import logging
from collections.abc import Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any, ClassVar, Final

from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404

from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import (
    ConnectionStateError,
    ConsumerSignal,
    RequestAborted,
    RequestTimeout,
    RouteNotFound,
    StopConsumer,
)
from channels_core.generic.groups import AsyncGroupMember
from channels_core.headers import HeadersArgument
from channels_core.refusal import refusal
from channels_core.typing import Message, Receive, Scope, Send
from channels_http.generic._body import WITHOUT_BODY, RequestBody
from channels_http.generic._inbox import Inbox
from channels_http.generic._response import Response, ResponseState

__all__ = ["AsyncHttpConsumer"]

logger = logging.getLogger("django.channels.http")

_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")

#: What a program raises to refuse a request, with the status that tells the client so; the first
#: that fits. Those of Django are answered as its views answer them.
_REFUSALS: Final[dict[type[Exception], HTTPStatus]] = {
    RequestDataTooBig: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    Http404: HTTPStatus.NOT_FOUND,
    PermissionDenied: HTTPStatus.FORBIDDEN,
    BadRequest: HTTPStatus.BAD_REQUEST,
    SuspiciousOperation: HTTPStatus.BAD_REQUEST,
}

_TIMEOUT: Final = "http.response.timeout"


class AsyncHttpConsumer(RequestBody, AsyncGroupMember, AsyncConsumer):
    """One HTTP request and its response, with coroutine methods.

    Override `handle`, or write a method for each HTTP method (`get`, `post`, ...). It is cancelled
    when the client leaves. If it returns while the response is open (`more_body=True`), the
    consumer lives on and handles messages of the channel layer until one of them ends the
    response, the client leaves, or `response_timeout` has passed.

    Attributes:
        groups: Names of groups to be in from before `handle` to the end: an iterable, a property
            or a method.
        max_body_size: Bytes of a request's body that are taken; None for any. Unless it is set,
            that is the setting `DATA_UPLOAD_MAX_MEMORY_SIZE`. More gets status 413.
        body_timeout: Seconds in which the body has to be there; None for no limit. With
            `stream_body`, those from one part to the next. A slower one gets status 408.
        buffers_body: Whether `handle` is called with the whole body. If not, it is called at
            once with nothing, and reads the body by `stream_body`.
        response_timeout: Seconds that a response may stay open after `handle` has returned; None
            for no limit.
    """

    _channels_framework: ClassVar[bool] = True

    response_timeout: float | None = None

    # Names that a message of the layer must not reach; methods where a program writes them.
    get: ClassVar[Any] = None
    post: ClassVar[Any] = None
    put: ClassVar[Any] = None
    patch: ClassVar[Any] = None
    delete: ClassVar[Any] = None
    head: ClassVar[Any] = None
    options: ClassVar[Any] = None
    trace: ClassVar[Any] = None

    _channels_response: Response
    _channels_left = False
    _channels_timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request until it ends; see `AsyncConsumer.__call__`.

        Raises:
            ConnectionStateError: A handler has raised `StopConsumer` while the response was open.
        """
        self._channels_inbox = Inbox(receive)
        method = scope.get("method")
        self._channels_response = Response(head=method == "HEAD")
        if method not in WITHOUT_BODY:
            self._channels_hold_back(scope)
        try:
            await super().__call__(scope, self._channels_inbox.get, send)
            if self._channels_response.state is ResponseState.OPEN and not self._channels_left:
                # A server cuts it short, so that the client can tell.
                raise ConnectionStateError(f"{type(self).__name__} has ended in its response")
        finally:
            if self._channels_timer is not None:
                self._channels_timer.cancel()
            await self._channels_inbox.close()

    async def dispatch(self, message: Message) -> None:
        """Hand a message to the method that is named after its type; see `AsyncConsumer`.

        Messages:
            `http.request`, `http.disconnect`, and those of the layer.

        Raises:
            StopConsumer: The response has ended.
            Exception: The handler's own. The client gets status 500 if no response has started,
                and another one for `Http404`, `PermissionDenied` and the like; otherwise the
                response is cut short.
        """
        try:
            await super().dispatch(message)
        except (ConsumerSignal, RouteNotFound):
            raise
        except Exception as error:
            if isinstance(error, RequestAborted) and not isinstance(error, RequestTimeout):
                raise StopConsumer from None  # The client has left: nobody is to be answered.
            if self._channels_response.state is not ResponseState.WAITING or self._channels_left:
                raise
            if isinstance(error, tuple(_REFUSALS)):
                await self._channels_refuse(error)
                raise StopConsumer from None
            await self._channels_answer_failure(error)
            raise
        if self._channels_response.state is ResponseState.ENDED:
            raise StopConsumer

    # The request

    async def http_request(self, message: Message) -> None:
        """Join the groups, read the body, and call `handle`.

        Messages:
            `http.request`, the first one; the rest of the body is read here.
        """
        self._channels_unread = message
        body = await self._channels_read_body() if self.buffers_body else b""
        for group in self._channels_groups():
            await self._channels_join(group)
        if not await self._channels_handle_watched(body):
            return  # The client has left; that is the next message.
        state = self._channels_response.state
        if state is ResponseState.WAITING and not self._channels_left:
            logger.error(
                "%s.handle returned without a response to %s %.200r; call send_response(), or "
                "send_headers() and then send_body(more_body=True) to answer later",
                type(self).__name__,
                self.scope.get("method"),
                self.scope.get("path"),
            )
            await self._channels_send_all(refusal(self.scope, 500, body="Server Error (500)"))
            raise StopConsumer
        if state is ResponseState.OPEN and self.response_timeout is not None:
            self._channels_timer = asyncio.get_running_loop().call_later(
                self.response_timeout, self._channels_inbox.put, {"type": _TIMEOUT}
            )
            self._channels_inbox.expect()

    async def _channels_handle_watched(self, body: bytes) -> bool:
        """Call `handle`; False if the client has left meanwhile, and it was cancelled."""
        loop = asyncio.get_running_loop()
        inbox = self._channels_inbox
        # Not a limit of time: what ends it is the client's leaving.
        presence = asyncio.timeout(None)
        try:
            async with presence:
                inbox.watch(lambda: presence.reschedule(loop.time()))
                try:
                    await self.handle(body)
                finally:
                    inbox.unwatch()
        except TimeoutError:
            if not presence.expired():
                raise
            return False
        return True

    async def handle(self, body: bytes) -> None:
        """Answer the request; by default with the method named after the HTTP method.

        `get` answers HEAD too; OPTIONS is answered with the methods that there are, and others
        get status 405.

        Args:
            body: The request's body; empty unless `buffers_body`.

        Raises:
            NotImplementedError: There are no such methods.

        Source: `django.views.View.dispatch`.
        """
        offered = [name for name in _METHODS if getattr(self, name) is not None]
        if not offered:
            raise NotImplementedError(
                f"Subclasses of AsyncHttpConsumer must provide a handle() method, or methods such "
                f"as get(); {type(self).__name__} has none"
            )
        name = str(self.scope.get("method", "GET")).lower()
        if name == "head" and self.head is None:
            name = "get"
        if name in offered:
            await getattr(self, name)(body)
            return
        allowed = {*offered, "options", *(["head"] if self.get is not None else [])}
        headers = [("Allow", ", ".join(sorted(allowed)).upper())]
        await self.send_response(200 if name == "options" else 405, b"", headers=headers)

    # The response

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
                await self.base_send(
                    {"type": "http.response.body", "body": body, "more_body": True}
                )
            except OSError as error:
                self._channels_could_not_send(error)
            return
        await self._channels_send_all([self._channels_response.body(body, more_body=more_body)])

    async def send_response(
        self, status: int, body: bytes | str, *, headers: HeadersArgument = None
    ) -> None:
        """Send a whole response, with its `Content-Length`.

        Args:
            status: HTTP status.
            body: The body; str is encoded as UTF-8.
            headers: Headers: pairs or a mapping, of str or bytes.

        Raises:
            ConnectionStateError: A response has started before.
            TypeError: The body is neither bytes nor str.
            ValueError: A header holds CR, LF or NUL.
        """
        await self._channels_send_all(self._channels_response.whole(status, body, headers))

    async def _channels_send_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self._channels_left:
                return
            try:
                await self.base_send(message)
            except OSError as error:
                self._channels_could_not_send(error)

    def _channels_could_not_send(self, error: OSError) -> None:
        # ASGI, HTTP: this is how a server tells that the client has left.
        logger.debug("The client left before a message could be sent: %r", error)
        self._channels_lose_client()

    def _channels_lose_client(self) -> None:
        self._channels_left = True
        self._channels_response.streams = False

    async def _channels_refuse(self, error: Exception) -> None:
        status = next(code for kind, code in _REFUSALS.items() if isinstance(error, kind))
        logger.warning(
            "%s %.200r: %s: %.500r",
            self.scope.get("method"),
            self.scope.get("path"),
            status.phrase,
            str(error),
        )
        await self._channels_send_all(refusal(self.scope, status, body=status.phrase))

    async def _channels_answer_failure(self, error: Exception) -> None:
        """Answer status 500: with Django's page of the error under `DEBUG`, plainly otherwise."""
        body: bytes | str = "Server Error (500)"
        headers: HeadersArgument = None
        if settings.DEBUG:
            try:
                body, headers = await asyncio.to_thread(_debug_page, self.scope, error)
            except Exception:
                logger.exception("Django's page of an error could not be made")
        await self._channels_send_all(refusal(self.scope, 500, headers=headers, body=body))

    async def http_response_timeout(self, message: Message) -> None:
        """End a response that has been open for `response_timeout`; override to send a last word.

        Messages:
            `http.response.timeout`.
        """
        await self.send_body(b"")

    # The end

    async def http_disconnect(self, message: Message) -> None:
        """Leave the groups, call `disconnect`, and end the consumer.

        Messages:
            `http.disconnect`.

        Raises:
            StopConsumer: Always.
        """
        self._channels_peer_left(message)
        await self._channels_finish()
        raise StopConsumer

    def _channels_peer_left(self, message: Message) -> None:
        self._channels_lose_client()

    async def disconnect(self) -> None:
        """Do what is to be done when the request has ended; nothing unless overridden.

        Called exactly once for each request, however it ends.
        """


def _debug_page(scope: Scope, error: Exception) -> tuple[bytes, list[tuple[str, str]]]:
    # Here, because they are for this case alone.
    from django.core.handlers.asgi import ASGIRequest
    from django.views.debug import technical_500_response

    request = ASGIRequest(scope, BytesIO())
    page = technical_500_response(request, type(error), error, error.__traceback__)
    return page.content, list(page.items())
