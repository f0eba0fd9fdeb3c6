"""Django's views as an ASGI application that can stand in a route, beside consumers."""

from __future__ import annotations

import inspect
import io
import logging
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, cast, overload

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.signals import setting_changed
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from channels_core.forks import call_in_children
from channels_core.typing import AnyScope, ASGIApplication, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from django.core.handlers.base import BaseHandler
    from django.http import HttpRequest

__all__ = ["AsgiHandler", "AsgiRequest", "logger"]

#: Django's logger for requests that fail.
logger: Final = logging.getLogger("django.request")

#: The attributes that Django's `load_middleware` sets on a handler.
_LOADED: Final = (
    "_middleware_chain",
    "_view_middleware",
    "_template_response_middleware",
    "_exception_middleware",
)


if TYPE_CHECKING:

    class _DjangosHandler(BaseHandler):
        """Django's `ASGIHandler` without `handle`, which programs override with our signature."""

        def create_request(self, scope: AnyScope, body_file: IO[bytes]) -> Any: ...
        def handle_uncaught_exception(
            self, request: HttpRequest, resolver: Any, exc_info: Any
        ) -> HttpResponseBase: ...
        async def read_body(self, receive: Receive) -> IO[bytes]: ...
        @classmethod
        def chunk_bytes(cls, data: bytes) -> Iterator[tuple[bytes, bool]]: ...

else:
    _DjangosHandler = ASGIHandler


class AsgiRequest(ASGIRequest):
    """Django's request, made from a scope and a body."""

    def __init__(self, scope: AnyScope, body: bytes | IO[bytes]) -> None:
        """Take the scope, and the body as bytes or as a file."""
        super().__init__(scope, io.BytesIO(body) if isinstance(body, bytes) else body)


class AsgiHandler(_DjangosHandler):
    """Serve a request with Django's middleware, URLconf and views.

    The class itself is an application for a route: `re_path(r"", AsgiHandler)`. Then each request
    has its own handler, with its scope. An instance, `AsgiHandler()`, is an ASGI 3 application.

    Attributes:
        scope: The request's scope; None in an `AsgiHandler()`.

    Source: `django.core.handlers.asgi.ASGIHandler`, which does the work.
    """

    request_class: type[ASGIRequest] = AsgiRequest
    chunk_size = 512 * 1024

    def __init__(self, scope: AnyScope = None) -> None:
        """Take the scope, and use the middleware, which is loaded once for all requests."""
        # Django's constructor is not called: it only loads the middleware, with an argument that a
        # program's own `load_middleware(self)` does not accept.
        self.scope = scope
        self._body: IO[bytes] | None = None
        self.load_middleware()

    def load_middleware(self, is_async: bool = True) -> None:
        """Use the middleware of `MIDDLEWARE`, which the first handler of a class loads."""
        self.__dict__.update(_middleware.of(type(self), is_async))

    @classmethod
    def as_asgi(cls) -> ASGIApplication:
        """Return an ASGI 3 application with a handler for each request."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            handler: Any = cls(scope)
            if _takes_two(handler):
                await handler(receive, send)
            else:
                # Sentry and similar tools replace our method with an ASGI 3 one, to watch requests.
                await handler(scope, receive, send)

        return application

    @overload
    async def __call__(self, receive: Receive, send: Send, /) -> Any: ...

    @overload
    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any: ...

    async def __call__(self, *connection: Any, **named: Any) -> Any:
        """Serve the request of the handler's scope; an `AsgiHandler()` gets the scope here.

        Scope:
            Its type is `http`.

        Raises:
            ValueError: The scope has another type.
        """
        if self.scope is None:
            await _serve(type(self), *connection, **named)
        elif len(connection) + len(named) == 2:  # receive and send
            await self._serve(self.scope, *connection, **named)
        else:
            # A method that has replaced this one passes on all three arguments.
            await self._serve(*connection, **named)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(
                f"Expected a scope of type 'http' for Django's views, got {scope['type']!r}; lead "
                "other connections elsewhere, with a ProtocolTypeRouter"
            )
        self._receive, self._send = receive, send
        async with ThreadSensitiveContext():
            try:
                body = await super().read_body(receive)
            except RequestAborted:
                return
            await self.handle(body)

    async def handle(self, body: IO[bytes]) -> None:
        """Answer the request, whose body has been read into a file."""
        assert self.scope is not None
        self._body = body
        djangos: Any = super()
        try:
            await djangos.handle(self.scope, self._receive, self._send)
        finally:
            # Django leaves it open if the request is cancelled after its response was sent.
            body.close()

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """Return the body that was given to `handle`."""
        assert self._body is not None
        return self._body

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        """Send a response; the parts of a synchronous iterator are sent one by one.

        Django would read the whole of such a file or stream into memory before it sends any of it.
        """
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            parts = cast(Iterable[bytes], response.streaming_content)
            response.streaming_content = _one_by_one(parts)
        djangos: Any = ASGIHandler
        await djangos.send_response(self, response, send)

    @classmethod
    def encode_response(cls, response: HttpResponseBase) -> Iterator[Message]:
        """Yield the ASGI messages of a response, so that synchronous code can inspect them."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        # It only needs the handler to split the body, which is a class method.
        handler: Any = cls
        async_to_sync(cls.send_response)(handler, response, keep)
        yield from messages


async def _one_by_one(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts of a synchronous iterator, run in a thread: it may use the database."""
    take = sync_to_async(partial(next, iter(parts), None))
    while (part := await take()) is not None:
        yield part


def _takes_two(handler: Any) -> bool:
    """Return whether a handler can be called with `receive` and `send` alone."""
    try:
        inspect.signature(handler).bind("receive", "send")
    except TypeError:
        return False
    return True


async def _serve(kind: type[AsgiHandler], scope: Scope, receive: Receive, send: Send) -> None:
    # Not through `__call__`: the method that has replaced it has called us.
    await kind(scope)._serve(scope, receive, send)


class _Middleware:
    """Keep the middleware of each class of handlers, until a setting changes (in a test)."""

    def __init__(self) -> None:
        self.make_lock()
        self._of: dict[tuple[type[AsgiHandler], bool], dict[str, Any]] = {}

    def make_lock(self) -> None:
        """Make a new lock; again in a child process, where the thread that holds it is missing."""
        self._lock = threading.RLock()

    def of(self, kind: type[AsgiHandler], is_async: bool) -> dict[str, Any]:
        """Return the attributes that a handler of the class needs to run its middleware."""
        with self._lock:
            if (kind, is_async) not in self._of:
                # The middleware keeps a reference to the handler that loads it: one without scope.
                handler = kind.__new__(kind)
                handler.scope = None
                ASGIHandler.load_middleware(handler, is_async=is_async)
                self._of[kind, is_async] = {name: getattr(handler, name) for name in _LOADED}
            return self._of[kind, is_async]

    def forget(self, **kwargs: Any) -> None:
        """Load the middleware again for the next request."""
        with self._lock:
            self._of.clear()


_middleware: Final = _Middleware()
call_in_children(_middleware.make_lock)
setting_changed.connect(_middleware.forget)
