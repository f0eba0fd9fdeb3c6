"""HTTP consumers: requests that may be held, streamed, and answered by messages of the layer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, ClassVar, Final, Unpack

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

from channels_core.abort import abort_response
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
from channels_core.refusal import failures_are_answered, refusal
from channels_core.typing import (
    AnyMessage,
    AnyScope,
    ConsumerOptions,
    HttpDisconnect,
    HttpRequest,
    Message,
    Receive,
    Send,
)
from channels_http.generic._body import RequestBody
from channels_http.generic._failures import debug_page, status_of
from channels_http.generic._inbox import DISCONNECT, Inbox
from channels_http.generic._response import Response, ResponseState
from channels_http.generic._sender import ResponseSender

__all__ = ["AsyncHttpConsumer", "HttpOptions"]

logger: Final = logging.getLogger("django.channels.http")

_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")

_TIMEOUT: Final = "http.response.timeout"


class HttpOptions(ConsumerOptions, total=False):
    """Options of an HTTP consumer, which say what its class says of them."""

    max_body_size: int | None
    body_timeout: float | None
    buffers_body: bool
    response_timeout: float | None


class AsyncHttpConsumer(RequestBody, ResponseSender, AsyncGroupMember, AsyncConsumer):
    """One HTTP request and its response, with coroutine methods.

    Override `handle`, or write a method for each HTTP method (`get`, `post`, ...). It is cancelled
    when the client leaves. If it returns while the response is open (`more_body=True`), the
    consumer lives on and handles messages of the channel layer until one of them ends the
    response, the client leaves, or `response_timeout` has passed.

    Attributes:
        groups: Names of groups to be in from before `handle` to the end: an iterable, a property
            or a method.

    Options:
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

    _channels_options: ClassVar[tuple[str, ...]] = ("response_timeout",)
    _channels_response_timeout: float | None = None

    # Methods where a program writes them. A message of the layer must not reach them.
    get: ClassVar[Any] = None
    post: ClassVar[Any] = None
    put: ClassVar[Any] = None
    patch: ClassVar[Any] = None
    delete: ClassVar[Any] = None
    head: ClassVar[Any] = None
    options: ClassVar[Any] = None
    trace: ClassVar[Any] = None

    #: The parts of the request's body, for programs that override `http_request`.
    body: list[bytes]

    _channels_answers_first: ClassVar[bool] = True
    _channels_begun = False
    # Whether the response is open without anything of the program's that runs.
    _channels_held = False
    _channels_timer: asyncio.TimerHandle | None = None

    def __init_subclass__(cls, **options: Unpack[HttpOptions]) -> None:
        """Take the options, and see what the new class has of its own."""
        rest: Any = options
        super().__init_subclass__(**rest)
        if cls.handle is not AsyncHttpConsumer.handle:
            # Its requests go to `handle`: methods of these names may be for messages of the layer.
            others = {name: True for name in _METHODS if getattr(cls, name) is not None}
            cls._channels_handlers = {**cls._channels_handlers, **others}

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> None:
        """Serve the request until it ends; see `AsyncConsumer.__call__`.

        Raises:
            ConnectionStateError: A handler has raised `StopConsumer` while the response was open.
        """
        self.body = []
        self._channels_inbox = Inbox(receive)
        self._channels_response = Response(
            head=scope.get("method") == "HEAD", as_given=not failures_are_answered()
        )
        self._channels_expect_body(scope.get("headers", ()))
        try:
            await super().__call__(scope, self._channels_inbox.get, send)
            unfinished = self._channels_response.state is ResponseState.OPEN
            if unfinished and not (self._channels_left or self._channels_drained):
                raise ConnectionStateError(f"{type(self).__name__} has ended in its response")
        except Exception:
            if self._channels_response.state is ResponseState.OPEN:
                abort_response(self.scope)
            raise
        finally:
            if self._channels_timer is not None:
                self._channels_timer.cancel()
            await self._channels_inbox.close()

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
        try:
            if self._channels_from_layer and self._channels_begun:
                await self._channels_watched(super().dispatch, message)
            else:
                await super().dispatch(message)
        except StopConsumer:
            if self._channels_response.state is ResponseState.WAITING and not self._channels_left:
                await self._channels_answer_nothing("stopped")
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            await self._channels_failed(
                RuntimeError(f"{type(self).__name__} awaited something that was cancelled"), error
            )
        except Exception as error:  # noqa: BLE001 - it is raised on, unless it is an answer
            await self._channels_failed(error, error.__cause__)
        if self._channels_response.state is ResponseState.ENDED or message["type"] == DISCONNECT:
            raise StopConsumer

    async def _channels_failed(self, error: Exception, cause: BaseException | None) -> None:
        if isinstance(error, RequestAborted) and not isinstance(error, RequestTimeout):
            raise StopConsumer from None  # The client has left: nobody is to be answered.
        waits = self._channels_response.state is ResponseState.WAITING and not self._channels_left
        if not waits or isinstance(error, ConsumerSignal | RouteNotFound):
            raise error from cause
        status = status_of(error)
        if not (failures_are_answered() or isinstance(error, RequestDataTooBig | RequestTimeout)):
            # A test may expect it, and our own limits alone are unknown to what it tests.
            raise error from cause
        if status is not None:
            await self._channels_refuse(status, error)
            raise StopConsumer from None
        await self._channels_answer_failure(error)
        raise error from cause

    # The request

    async def http_request(self, message: HttpRequest) -> None:
        """Read the body, join the groups, and call `handle`.

        Messages:
            `http.request`, the first one; the rest of the body is read here. What comes after
            `handle` has returned is not read any more.
        """
        if self._channels_begun:
            return
        self._channels_begun = True
        self._channels_unread = message
        body = b""
        if self._channels_buffers_body:
            body = await self._channels_read_body()
            self.body = [body]
        if not await self._channels_watched(self._channels_handle, body):
            return  # The client has left; that is the next message.
        state = self._channels_response.state
        if state is ResponseState.WAITING and not self._channels_left:
            await self._channels_answer_nothing("returned from handle")
            raise StopConsumer
        if state is ResponseState.OPEN:
            self._channels_held = True
            self._channels_inbox.expect()
            if self._channels_drained:
                self._channels_drain()
            elif self._channels_response_timeout is not None:
                self._channels_timer = asyncio.get_running_loop().call_later(
                    self._channels_response_timeout, self._channels_inbox.put, {"type": _TIMEOUT}
                )

    async def _channels_handle(self, body: bytes) -> None:
        await self._channels_join_declared()
        try:
            await self.handle(body)
        finally:
            self._channels_body_ended = True  # What is left of it is for nobody.

    async def _channels_watched(
        self, function: Callable[[Any], Awaitable[None]], argument: object
    ) -> bool:
        """Call a function; False if the client has left meanwhile, and it was cancelled."""
        loop = asyncio.get_running_loop()
        inbox = self._channels_inbox
        # Not a limit of time: what ends it is the client's leaving.
        presence = asyncio.timeout(None)

        def leave() -> None:
            # A server says the same when the response is complete: what follows goes on.
            if self._channels_response.state is not ResponseState.ENDED:
                self._channels_lose_client()
                presence.reschedule(loop.time())

        try:
            async with presence:
                inbox.watch(leave)
                try:
                    await function(argument)
                finally:
                    inbox.unwatch()
        except TimeoutError:
            if not presence.expired():
                raise
        return not presence.expired()

    async def _channels_answer_nothing(self, how: str) -> None:
        logger.error(
            "%s %s without a response to %s %.200r; call send_response(), or "
            "send_headers() and then send_body(more_body=True) to answer later",
            type(self).__name__,
            how,
            self.scope.get("method"),
            self.scope.get("path"),
        )
        if failures_are_answered():
            await self._channels_answer(refusal(self.scope, 500, body="Server Error (500)"))

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

    def _channels_drain(self) -> None:
        """End a held response when the server stops, as if it had been open long enough."""
        self._channels_drained = True
        if self._channels_held:
            self._channels_inbox.put({"type": _TIMEOUT})

    async def http_response_timeout(self, message: Message) -> None:
        """End a response that has been open for `response_timeout`; override to send a last word.

        Called as well when the server is stopping.

        Messages:
            `http.response.timeout`.
        """
        await self.send_body(b"")

    # A response that is not the program's own

    async def _channels_refuse(self, status: HTTPStatus, error: Exception) -> None:
        logger.warning(
            "%s %.200r: %s: %.500r",
            self.scope.get("method"),
            self.scope.get("path"),
            status.phrase,
            str(error),
        )
        await self._channels_answer(refusal(self.scope, int(status), body=status.phrase))

    async def _channels_answer_failure(self, error: Exception) -> None:
        """Answer status 500: with Django's page of the error under `DEBUG`, plainly otherwise."""
        body: bytes | str = "Server Error (500)"
        headers: HeadersArgument = None
        if settings.DEBUG:
            try:
                body, headers = await asyncio.to_thread(debug_page, self.scope, error)
            except Exception:
                logger.exception("Django's page of an error could not be made")
        await self._channels_answer(refusal(self.scope, 500, headers=headers, body=body))

    # The end

    async def http_disconnect(self, message: HttpDisconnect) -> None:
        """End the consumer, which then leaves its groups and calls `disconnect`.

        Messages:
            `http.disconnect`.

        Raises:
            StopConsumer: Always.
        """
        raise StopConsumer

    def _channels_is_clean(self) -> bool:
        if self._channels_ends_silently():
            self._channels_finished = True
        return super()._channels_is_clean()

    def _channels_ends_silently(self) -> bool:
        """Tell whether there are no groups to leave, and no `disconnect` of the program's."""
        own = getattr(self.disconnect, "__func__", None) is not AsyncHttpConsumer.disconnect
        return not (own or self._channels_groups_to_leave())

    async def disconnect(self) -> None:
        """Do what is to be done when the request has ended; nothing unless overridden.

        Called exactly once for each request, however it ends.
        """
