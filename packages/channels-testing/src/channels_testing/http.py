"""Drive an HTTP application from a test, as a client would."""

import json as json_format
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from django.utils.datastructures import CaseInsensitiveMapping

from channels_core.headers import HeadersArgument
from channels_core.typing import Scope
from channels_testing._failure_text import shortened
from channels_testing._scopes import Query, encode_form, encode_json, given_headers, http_scope
from channels_testing.application import ApplicationCommunicator

__all__ = ["HttpCommunicator", "Response"]

_Bytes: TypeAlias = bytes | bytearray | memoryview


class Response(dict[str, Any]):
    """A response: a dict with `status`, `headers` (pairs of bytes) and `body`."""

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, key: Literal["status"], /) -> int: ...
        @overload
        def __getitem__(self, key: Literal["headers"], /) -> list[tuple[bytes, bytes]]: ...
        @overload
        def __getitem__(self, key: Literal["body"], /) -> bytes: ...
        @overload
        def __getitem__(self, key: str, /) -> Any: ...
        def __getitem__(self, key: str, /) -> Any: ...

    @property
    def status(self) -> int:
        """HTTP status."""
        status: int = self["status"]
        return status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name, in any case; the last one if a name occurs more than once."""
        pairs = self["headers"]
        return CaseInsensitiveMapping(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs
        )

    @property
    def body(self) -> bytes:
        """The part of the body that has been received."""
        body: bytes = self["body"]
        return body

    @property
    def text(self) -> str:
        """The body as text, in UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body decoded as JSON."""
        return json_format.loads(self.body)


class HttpCommunicator(ApplicationCommunicator):
    """One HTTP request to an application, and its response.

    `get_response` sends the request and receives the whole response. Used as a context (`async
    with`), for a streamed response, the communicator sends the request and waits for the headers;
    at the end of the context the client disconnects.

    Attributes:
        body: The body of the request.
        sent_request: Whether the request, or a part of it, has been sent.
        response: The response as far as it has been received; None before its headers.
    """

    def __init__(
        self,
        application: Any,
        method: str,
        path: str,
        body: _Bytes | Iterable[_Bytes] = b"",
        headers: HeadersArgument = None,
        *,
        query: Query = None,
        json: Any = None,
        form: Query = None,
        scope: Mapping[str, Any] | None = None,
        cookies: Mapping[str, Any] | None = None,
        session: Mapping[str, Any] | None = None,
        user: Any = None,
        backend: str | None = None,
        json_encoder: type[json_format.JSONEncoder] | None = None,
    ) -> None:
        """Take an application and a request.

        Args:
            application: An ASGI 3 application, a consumer class, or a two-step application.
            method: The HTTP method.
            path: Path of the request; may have a query string.
            body: The request's body: bytes, or an iterable of the parts in which it arrives.
            headers: Headers: pairs of bytes, used as they are; or a mapping or pairs of str.
            query: Added to the query string: a mapping, pairs, or an encoded str.
            json: An object to send as JSON, with the headers for it.
            form: The fields of a form to send, with the headers for it: a mapping, pairs, or an
                encoded str.
            scope: Keys to add to the scope, or to replace in it.
            cookies: As in `ApplicationCommunicator`.
            session: As in `ApplicationCommunicator`.
            user: As in `ApplicationCommunicator`.
            backend: As in `ApplicationCommunicator`.
            json_encoder: The class that encodes `json`; None for Django's `DjangoJSONEncoder`.

        Raises:
            TypeError: More than one of `body`, `json` and `form` is given, or a body that is not
                made of bytes.
            ValueError: The path holds a control character, or a header of str holds CR, LF or NUL.
        """
        fields = given_headers(headers)
        if sum([bool(body), json is not None, form is not None]) > 1:
            raise TypeError("A request has one body: give body, json or form")
        if json is not None:
            body = encode_json(json, json_encoder).encode()
            fields = _with_content_headers(fields, body, b"application/json")
        if form is not None:
            body = encode_form(form).encode()
            fields = _with_content_headers(fields, body, b"application/x-www-form-urlencoded")
        parts = _parts(body)
        made: Scope = http_scope(method, path, fields, query)
        super().__init__(
            application,
            {**made, **(scope or {})},
            cookies=cookies,
            session=session,
            user=user,
            backend=backend,
        )
        self.body: bytes = b"".join(parts)
        self._parts = parts or [b""]
        self.sent_request: bool = False
        self.response: Response | None = None
        # Whether the last part of the response's body has been received.
        self._ended = False

    async def get_response(self, timeout: float = 1) -> Response:
        """Send the request, and wait for the whole response, but not for the application's end.

        Args:
            timeout: Seconds to wait for each part of the response at most.

        Raises:
            TimeoutError: A part did not come.
            AssertionError: A message came that is not a part of a response.
            Exception: The application has ended with this one.
        """
        response = await self.start_response(timeout)
        async for _ in self.iter_body(timeout):
            pass
        return response

    async def start_response(self, timeout: float = 1) -> Response:
        """Send the request, and wait for the status and the headers.

        Returns:
            The response; its `body` grows with each part that is received.

        Raises:
            TimeoutError: They did not come.
            AssertionError: Another message came first.
            Exception: The application has ended with this one.
        """
        await self.send_request()
        if self.response is None:
            start = await self.receive_output(timeout)
            if start["type"] != "http.response.start":
                raise AssertionError(f"Expected the start of a response, got {shortened(start)}")
            headers = list(start.get("headers") or ())
            self.response = Response(status=start["status"], headers=headers, body=b"")
        return self.response

    async def send_request(self) -> None:
        """Send the request without waiting for a response."""
        if not self.sent_request:
            self.sent_request = True
            for number, part in enumerate(self._parts, 1):
                await self.send_body(part, more_body=number < len(self._parts))

    async def send_body(self, body: _Bytes, more_body: bool = False) -> None:
        """Send a part of the request's body, for a test that sends the parts itself.

        Args:
            body: The part.
            more_body: Whether further parts will follow.

        Raises:
            TypeError: The part is not bytes.
        """
        part = _as_bytes(body)
        self.sent_request = True
        message = {"type": "http.request", "body": part}
        await self.send_input({**message, "more_body": True} if more_body else message)

    async def receive_body(self, timeout: float = 1, keep_running: bool | None = None) -> bytes:
        """Wait for the next part of the response's body, and return it.

        Args:
            timeout: Seconds to wait at most.
            keep_running: As in `receive_output`.

        Raises:
            TimeoutError: No part came.
            AssertionError: The response has ended, or another message came.
            Exception: The application has ended with this one.
        """
        response = await self.start_response(timeout)
        if self._ended:
            raise AssertionError(f"The response has ended: status {response.status}")
        # An override in a subclass may take a timeout only.
        options = {} if keep_running is None else {"keep_running": keep_running}
        message = await self.receive_output(timeout, **options)
        if message["type"] != "http.response.body":
            raise AssertionError(f"Expected a part of the body, got {shortened(message)}")
        part = message.get("body", b"")
        if not isinstance(part, bytes):
            raise AssertionError(f"Expected a body of bytes, got {shortened(message)}")
        self._ended = not message.get("more_body", False)
        response["body"] += part
        return part

    async def iter_body(self, timeout: float = 1) -> AsyncIterator[bytes]:
        """Iterate over the parts of the response's body that are not empty, to its end.

        Args:
            timeout: Seconds to wait for each part at most.

        Raises:
            TimeoutError: A part did not come.
            Exception: The application has ended with this one.
        """
        while not self._ended:
            if part := await self.receive_body(timeout):
                yield part

    async def disconnect(self, timeout: float = 1, *, must_end: bool = False) -> None:
        """Disconnect the client, and wait for the application to end.

        Args:
            timeout: Seconds to wait at most; then the application is cancelled.
            must_end: As in `wait`.

        Raises:
            TimeoutError: The application did not end although `must_end` is set.
            Exception: The application has ended with this one.
        """
        if not self.future.done():
            await self.send_input({"type": "http.disconnect"})
        # An override in a subclass may take a timeout only.
        await self.wait(timeout, **({"must_end": True} if must_end else {}))

    async def _enter(self) -> None:
        await self.start_response(self.context_timeout)

    async def _leave(self) -> None:
        await self.disconnect(self.context_timeout)


def _parts(body: object) -> list[bytes]:
    """Return the parts in which a body arrives."""
    if isinstance(body, Iterable) and not isinstance(body, _Bytes | str | Mapping):
        return [_as_bytes(part) for part in body]
    return [_as_bytes(body)]


def _as_bytes(body: object) -> bytes:
    if isinstance(body, str):
        raise TypeError(f"Expected the body as bytes, got a str; encode it: {body!r:.200}")
    if not isinstance(body, _Bytes):
        raise TypeError(
            f"Expected the body as bytes, or an iterable of bytes, got {body!r:.200}; "
            "pass an object that has to be encoded as json= or form="
        )
    return bytes(body)


def _with_content_headers(fields: Any, body: bytes, kind: bytes) -> list[Any]:
    """Return headers, with `Content-Type` and `Content-Length` added if they are missing."""
    names = {name.lower() for name, _ in fields}
    content_headers = {b"content-type": kind, b"content-length": str(len(body)).encode()}
    return [*fields, *(pair for pair in content_headers.items() if pair[0] not in names)]
