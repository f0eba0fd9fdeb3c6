"""Drive a WebSocket application from a test, as a browser would."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from channels_core.headers import HeadersArgument
from channels_core.typing import Message, Scope
from channels_testing._failure_text import shortened
from channels_testing._scopes import Query, encode_json, websocket_scope
from channels_testing.application import ApplicationCommunicator

__all__ = ["Denial", "WebsocketCommunicator"]

_DENIAL: Final = "websocket.http.response"


class _NotJSON(json.JSONDecodeError, AssertionError):
    """The error of a failing test, and of `json`, which programs may expect."""


def _failure(text: str, note: str) -> AssertionError:
    """Return an error with the text that tests expect, and with more details in a note."""
    failure = AssertionError(text)
    failure.add_note(note)
    return failure


@dataclass(frozen=True)
class Denial:
    """The HTTP response with which an application has refused a handshake.

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

    Used as a context (`async with`), the communicator connects, and ends the application however
    the test ends. Its properties describe all messages that the application has sent so far,
    including those that the test has not received yet.
    """

    # Whether the handshake has been sent, and whether its answer has been received.
    _asked = False
    _answered = False

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
        cookies: Mapping[str, Any] | None = None,
        session: Mapping[str, Any] | None = None,
        user: Any = None,
        backend: str | None = None,
        json_encoder: type[json.JSONEncoder] | None = None,
    ) -> None:
        """Take an application and the client's handshake.

        Args:
            application: An ASGI 3 application, a consumer class, or a two-step application.
            path: Path of the connection; may have a query string.
            headers: Headers of the handshake: pairs of bytes, used as they are; or a mapping or
                pairs of str.
            subprotocols: The subprotocols that the client offers.
            spec_version: The value of `scope["spec_version"]`.
            query: Added to the query string: a mapping, pairs, or an encoded str.
            scope: Keys to add to the scope, or to replace in it.
            denial_response: Whether the server can refuse a handshake by an HTTP response.
            cookies: As in `ApplicationCommunicator`.
            session: As in `ApplicationCommunicator`.
            user: As in `ApplicationCommunicator`.
            backend: As in `ApplicationCommunicator`.
            json_encoder: The class that encodes for `send_json_to`; None for Django's
                `DjangoJSONEncoder`.
        """
        made: Scope = websocket_scope(
            path,
            headers,
            subprotocols,
            query,
            spec_version=spec_version,
            denial_response=denial_response,
        )
        whole: Scope = {**made, **(scope or {})}
        if denial_response:
            whole["extensions"] = {**made["extensions"], **(whole["extensions"] or {})}
        super().__init__(
            application, whole, cookies=cookies, session=session, user=user, backend=backend
        )
        self._json_encoder = json_encoder
        # The same as `accept_headers` after the connection was accepted; otherwise None. Programs
        # read it under this name.
        self.response_headers: list[tuple[bytes, bytes]] | None = None

    def _find(self, kind: str) -> Message | None:
        """Return the first message of this type that the application has sent."""
        return next((message for message in self._sent if message.get("type") == kind), None)

    @property
    def accepted(self) -> bool | None:
        """Whether the application has accepted the connection; None before it answered."""
        if self._find("websocket.accept"):
            return True
        return None if self.close_code is None and self.denial is None else False

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the application has chosen, or None."""
        return (self._find("websocket.accept") or {}).get("subprotocol")

    @property
    def accept_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers with which the application has accepted the connection."""
        return list((self._find("websocket.accept") or {}).get("headers") or ())

    @property
    def close_code(self) -> int | None:
        """The code with which the application has closed the connection, or None."""
        message = self._find("websocket.close")
        return None if message is None else message.get("code", 1000)

    @property
    def close_reason(self) -> str:
        """The reason with which the application has closed the connection; may be empty."""
        return (self._find("websocket.close") or {}).get("reason") or ""

    @property
    def denial(self) -> Denial | None:
        """The response with which the application has refused the handshake, or None."""
        start = self._find(f"{_DENIAL}.start")
        if start is None:
            return None
        bodies = (m.get("body", b"") for m in self._sent if m.get("type") == f"{_DENIAL}.body")
        return Denial(start["status"], list(start.get("headers") or ()), b"".join(bodies))

    async def connect(self, timeout: float = 1) -> tuple[bool, Any]:
        """Ask for the connection.

        Args:
            timeout: Seconds to wait for the answer at most.

        Returns:
            Whether the connection was accepted. If so, also the chosen subprotocol (None if the
            application chose none); if not, the close code or the HTTP status of the denial.

        Raises:
            TimeoutError: No answer came.
            AssertionError: Another message came.
            RuntimeError: The application has already answered an earlier call.
        """
        if self._answered:
            state = "is connected already" if self.accepted else "was refused already"
            raise RuntimeError(
                f"This communicator {state} (`async with` connects, too); make another one for "
                "another connection"
            )
        if not self._asked:
            self._asked = True
            await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        self._answered = True
        match answer.get("type"):
            case "websocket.accept":
                self.response_headers = self.accept_headers
                return True, self.subprotocol
            case "websocket.close":
                return False, self.close_code
            case "websocket.http.response.start":
                more = True
                while more:
                    part = await self.receive_output(timeout)
                    if part.get("type") != f"{_DENIAL}.body":
                        raise AssertionError(f"Expected a part of the body, got {shortened(part)}")
                    more = part.get("more_body", False)
                return False, answer["status"]
        raise AssertionError(f"Expected an answer to the handshake, got {shortened(answer)}")

    async def send_to(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send a frame to the application.

        Args:
            text_data: The text of a text frame; may be empty.
            bytes_data: The content of a binary frame.

        Raises:
            AssertionError: Both are given, or neither.
        """
        if (text_data is None) == (bytes_data is None):
            raise AssertionError("You must supply exactly one of text_data or bytes_data")
        if text_data is not None:
            if not isinstance(text_data, str):
                raise _failure("The text_data argument must be a str", f"Got {text_data!r:.200}")
            await self.send_input({"type": "websocket.receive", "text": text_data})
        else:
            if not isinstance(bytes_data, bytes):
                raise _failure("The bytes_data argument must be bytes", f"Got {bytes_data!r:.200}")
            await self.send_input({"type": "websocket.receive", "bytes": bytes_data})

    async def send_json_to(self, data: Any) -> None:
        """Send a text frame with an object as JSON."""
        await self.send_to(text_data=encode_json(data, self._json_encoder))

    async def receive_from(
        self, timeout: float = 1, keep_running: bool | None = None
    ) -> str | bytes:
        """Wait for a frame of the application.

        Args:
            timeout: Seconds to wait at most.
            keep_running: As in `receive_output`.

        Returns:
            The text of a text frame, or the content of a binary frame.

        Raises:
            TimeoutError: No message came.
            AssertionError: Another message came; the application has closed, for example.
        """
        # An override in a subclass may take a timeout only.
        options = {} if keep_running is None else {"keep_running": keep_running}
        message = await self.receive_output(timeout, **options)
        if message["type"] != "websocket.send":
            closed = message["type"] == "websocket.close"
            raise _failure(
                f"Expected type 'websocket.send', but was '{message['type']}'",
                f"The application {self._how_it_closed()}"
                if closed
                else f"Got {shortened(message)}",
            )
        text: Any = message.get("text")
        content: Any = message.get("bytes")
        if (text is None) == (content is None):
            raise _failure(
                "The response needs exactly one of 'text' or 'bytes'", f"Got {shortened(message)}"
            )
        if text is not None:
            if not isinstance(text, str):
                raise _failure(
                    f"Text frame payload is not str, it is {type(text)}",
                    f"Got {shortened(message)}",
                )
            return text
        if not isinstance(content, bytes):
            raise _failure(
                f"Binary frame payload is not bytes, it is {type(content)}",
                f"Got {shortened(message)}",
            )
        return content

    def _how_it_closed(self) -> str:
        reason = f": {self.close_reason}" if self.close_reason else " and no reason"
        return f"has closed with code {self.close_code}{reason}"

    async def receive_json_from(self, timeout: float = 1, keep_running: bool | None = None) -> Any:
        """Wait for a text frame with JSON, and return the decoded object.

        Raises:
            TimeoutError: No message came.
            AssertionError: Another message came, such as a binary frame; or the text is not JSON
                (then the error is also a `json.JSONDecodeError`).
        """
        options = {} if keep_running is None else {"keep_running": keep_running}
        text = await self.receive_from(timeout, **options)
        if not isinstance(text, str):
            raise _failure(
                f"JSON data is not a text frame, it is {type(text)}", f"Got {text!r:.200}"
            )
        try:
            return json.loads(text)
        except ValueError as error:
            failure = _NotJSON(getattr(error, "msg", ""), text, getattr(error, "pos", 0))
            failure.args = error.args
            failure.add_note(f"Expected JSON, got {text!r:.200}")
            raise failure from error

    async def disconnect(
        self, code: int = 1000, timeout: float = 1, reason: str = "", *, must_end: bool = False
    ) -> None:
        """Disconnect the client, and wait for the application to end.

        Args:
            code: The client's close code.
            timeout: Seconds to wait at most; then the application is cancelled.
            reason: The client's reason.
            must_end: As in `wait`.

        Raises:
            TimeoutError: The application did not end although `must_end` is set.
            Exception: The application has ended with this one.
        """
        message: Message = {"type": "websocket.disconnect", "code": code}
        await self.send_input({**message, "reason": reason} if reason else message)
        # An override in a subclass may take a timeout only.
        await self.wait(timeout, **({"must_end": True} if must_end else {}))

    async def assert_closed(self, code: int | None = None, timeout: float = 1) -> None:
        """Wait for the application to close the connection.

        Args:
            code: The expected close code; None for any.
            timeout: Seconds to wait at most.

        Raises:
            AssertionError: It sent another message, or closed with another code.
            TimeoutError: It sent no message.
        """
        if self.close_code is None or not self.output_queue.empty():
            message = await self.receive_output(timeout)
            if message["type"] != "websocket.close":
                raise AssertionError(f"Expected the connection to close, got {shortened(message)}")
        if code is not None and self.close_code != code:
            raise AssertionError(
                f"Expected a close with code {code}, but the application {self._how_it_closed()}"
            )

    async def assert_denied(self, status: int | None = None, timeout: float = 1) -> None:
        """Ask for the connection, and expect that it is refused.

        Args:
            status: The expected HTTP status of a denial (see `denial_response`); None for any
                kind of refusal.
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

    async def _enter(self) -> None:
        accepted, _ = await self.connect(self.context_timeout)
        if not accepted:
            raise AssertionError(f"The connection was refused: {self._refusal()}")

    async def _leave(self) -> None:
        # As with Daphne, where the client confirms the application's own close code.
        code = 1000 if self.close_code is None else self.close_code
        await self.disconnect(code, timeout=self.context_timeout)

    def _refusal(self) -> str:
        if self.denial is not None:
            return f"status {self.denial.status}, {self.denial.body!r:.200}"
        return f"the application {self._how_it_closed()}"
