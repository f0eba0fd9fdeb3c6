"""Drive a WebSocket application from a test, as a browser would."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from channels_core.headers import HeadersArgument
from channels_core.typing import Message, Scope
from channels_testing._explain import brief
from channels_testing._scopes import Query, websocket_scope
from channels_testing.application import ApplicationCommunicator

__all__ = ["Denial", "WebsocketCommunicator"]


@dataclass(frozen=True)
class Denial:
    """The HTTP response by which an application has refused a handshake.

    Attributes:
        status: HTTP status.
        headers: Pairs of bytes.
        body: The body.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class WebsocketCommunicator(ApplicationCommunicator):
    """One WebSocket connection of an application.

    As a context (`async with`) it connects, and leaves nothing behind however the test ends.

    Attributes:
        accepted: Whether the application has accepted the connection; None before it answered.
        subprotocol: The one that it has chosen.
        accept_headers: Headers that it has sent with the acceptance: pairs of bytes.
        close_code: The code with which it has closed; None while it has not.
        close_reason: The reason that it gave for that.
        denial: The response by which it has refused the handshake; None if it has not.
    """

    def __init__(
        self,
        application: Any,
        path: str,
        headers: HeadersArgument = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: Any = None,
        *,
        query: Query = None,
        scope: Mapping[str, Any] | None = None,
        denial_response: bool = False,
        cookies: Mapping[str, str] | None = None,
        session: Mapping[str, Any] | None = None,
        user: Any = None,
        backend: str | None = None,
    ) -> None:
        """Take an application and what the client asks for.

        Args:
            application: An ASGI 3 application, a consumer class, or a two-step application.
            path: Path of the connection, with a query string perhaps.
            headers: Headers of the handshake: pairs or a mapping, of str or bytes.
            subprotocols: What the client offers.
            spec_version: Version of the ASGI specification that the server keeps to.
            query: Added to the query string: a mapping, pairs, or an encoded str.
            scope: Keys of the scope to add, or to put in the place of what is there.
            denial_response: Whether the server can refuse a handshake by an HTTP response.
            cookies: As in `ApplicationCommunicator`.
            session: As in `ApplicationCommunicator`.
            user: As in `ApplicationCommunicator`.
            backend: As in `ApplicationCommunicator`.
        """
        made: Scope = websocket_scope(
            path,
            headers,
            subprotocols,
            query,
            spec_version=spec_version,
            denial_response=denial_response,
        )
        super().__init__(
            application,
            {**made, **(scope or {})},
            cookies=cookies,
            session=session,
            user=user,
            backend=backend,
        )
        self.accepted: bool | None = None
        self.subprotocol: str | None = None
        self.accept_headers: list[tuple[bytes, bytes]] = []
        self.close_code: int | None = None
        self.close_reason = ""
        self.denial: Denial | None = None

    async def connect(self, timeout: float = 1) -> tuple[bool, Any]:
        """Ask for the connection.

        Args:
            timeout: Seconds to wait for the answer at most.

        Returns:
            Whether it was accepted; and then the chosen subprotocol (None for none), otherwise
            the close code, or the HTTP status of a denial.

        Raises:
            TimeoutError: No answer came.
            AssertionError: The answer is none that belongs here.
        """
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        if self.denial is not None:
            while answer.get("more_body", True):
                answer = await self.receive_output(timeout)
            return False, self.denial.status
        if self.close_code is not None:
            return False, self.close_code
        if not self.accepted:
            raise AssertionError(f"Expected an answer to the handshake, got {brief(answer)}")
        return True, self.subprotocol

    def _took(self, message: Message) -> Message:
        match message["type"]:
            case "websocket.accept":
                self.accepted = True
                self.subprotocol = message.get("subprotocol")
                self.accept_headers = list(message.get("headers") or ())
            case "websocket.close":
                self.accepted = bool(self.accepted)
                self.close_code = message.get("code", 1000)
                self.close_reason = message.get("reason") or ""
            case "websocket.http.response.start":
                self.accepted = False
                headers = list(message.get("headers") or ())
                self.denial = Denial(message["status"], headers, b"")
            case "websocket.http.response.body" if self.denial is not None:
                body = self.denial.body + message.get("body", b"")
                self.denial = Denial(self.denial.status, self.denial.headers, body)
        return super()._took(message)

    async def send_to(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send a frame to the application.

        Args:
            text_data: The text of a text frame; an empty one is a frame too.
            bytes_data: The content of a binary frame.

        Raises:
            AssertionError: Both are given, or neither.
        """
        if (text_data is None) == (bytes_data is None):
            raise AssertionError("send_to() takes either text_data or bytes_data")
        if text_data is not None:
            if not isinstance(text_data, str):
                raise AssertionError(f"text_data must be a str, not {text_data!r}")
            await self.send_input({"type": "websocket.receive", "text": text_data})
        else:
            if not isinstance(bytes_data, bytes):
                raise AssertionError(f"bytes_data must be bytes, not {bytes_data!r}")
            await self.send_input({"type": "websocket.receive", "bytes": bytes_data})

    async def send_json_to(self, data: Any) -> None:
        """Send a text frame with an object as JSON."""
        await self.send_to(text_data=json.dumps(data))

    async def receive_from(self, timeout: float = 1, keep_running: bool | None = None) -> Any:
        """Wait for a frame of the application.

        Args:
            timeout: Seconds to wait at most.
            keep_running: As in `receive_output`.

        Returns:
            The text of a text frame, the content of a binary frame.

        Raises:
            TimeoutError: None came.
            AssertionError: Something else came: the application has closed, for example.
        """
        message = await self.receive_output(timeout, keep_running)
        if message["type"] == "websocket.close":
            raise AssertionError(f"Expected a frame, but the application {self._how_it_closed()}")
        if message["type"] != "websocket.send":
            raise AssertionError(f"Expected a frame, got {brief(message)}")
        text, content = message.get("text"), message.get("bytes")
        if (text is None) == (content is None):
            raise AssertionError(f"A frame has either text or bytes: {brief(message)}")
        return content if text is None else text

    def _how_it_closed(self) -> str:
        reason = f": {self.close_reason}" if self.close_reason else " and no reason"
        return f"has closed with code {self.close_code}{reason}"

    async def receive_json_from(self, timeout: float = 1, keep_running: bool | None = None) -> Any:
        """Wait for a text frame with JSON, and return what it holds.

        Raises:
            TimeoutError: None came.
            AssertionError: Something else came: a binary frame, or text that is not JSON.
        """
        text = await self.receive_from(timeout, keep_running)
        if not isinstance(text, str):
            raise AssertionError(
                f"Expected a text frame with JSON, got a binary one: {text!r:.200}"
            )
        try:
            return json.loads(text)
        except ValueError as error:
            raise AssertionError(f"Expected JSON, got {text!r:.200} ({error})") from error

    async def disconnect(self, code: int = 1000, timeout: float = 1, reason: str = "") -> None:
        """Let the client leave, and wait for the application to end.

        Args:
            code: The close code that the application is told.
            timeout: Seconds to wait for it at most.
            reason: The reason that it is told.

        Raises:
            TimeoutError: It did not end.
            Exception: The application has ended with this one.
        """
        message: Message = {"type": "websocket.disconnect", "code": code}
        await self.send_input({**message, "reason": reason} if reason else message)
        await self.wait(timeout)

    async def assert_closed(self, code: int | None = None, timeout: float = 1) -> None:
        """Wait for the application to close the connection.

        Args:
            code: The close code to expect; None for any.
            timeout: Seconds to wait at most.

        Raises:
            AssertionError: It sent something else, or closed with another code.
            TimeoutError: It sent nothing.
        """
        if self.close_code is None:
            message = await self.receive_output(timeout)
            if message["type"] != "websocket.close":
                raise AssertionError(f"Expected the connection to close, got {brief(message)}")
        if code is not None and self.close_code != code:
            raise AssertionError(
                f"Expected a close with code {code}, but the application {self._how_it_closed()}"
            )

    async def assert_denied(self, status: int | None = None, timeout: float = 1) -> None:
        """Ask for the connection, and expect that it is refused.

        Args:
            status: The HTTP status to expect of a denial (see `denial_response`); None for a
                refusal of any kind.
            timeout: Seconds to wait at most.

        Raises:
            AssertionError: It was accepted, or refused in another way.
            TimeoutError: No answer came.
        """
        if self.accepted is None:
            await self.connect(timeout)
        if self.accepted:
            raise AssertionError("Expected the handshake to be refused, but it was accepted")
        if status is None:
            return
        if self.denial is None:
            raise AssertionError(
                f"Expected a refusal with status {status}, but the application "
                f"{self._how_it_closed()}; only with denial_response=True it may send a response"
            )
        if self.denial.status != status:
            raise AssertionError(
                f"Expected a refusal with status {status}, got {self.denial.status}: "
                f"{self.denial.body!r:.200}"
            )

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            AssertionError: The connection was refused.
        """
        try:
            accepted, _ = await self.connect()
            if not accepted:
                raise AssertionError(f"The connection was refused: {self._refusal()}")
        except BaseException:
            await self._end_quietly()
            raise
        return self

    def _refusal(self) -> str:
        if self.denial is not None:
            return f"status {self.denial.status}, {self.denial.body!r:.200}"
        return f"the application {self._how_it_closed()}"

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave, and wait for the application to end; after a failure of the test, cancel it."""
        if error is not None:
            await self._end_quietly()
        elif self.future.done():
            await self.wait()
        else:
            await self.disconnect()
