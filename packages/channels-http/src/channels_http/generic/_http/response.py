"""Build the messages of one HTTP response, and check that each may be sent now."""

from __future__ import annotations

import enum
from typing import Any, Final

from channels_core.exceptions import ConnectionStateError
from channels_core.headers import HeadersArgument, pass_on_headers
from channels_core.typing import Message, Send

__all__ = ["BURST", "ENDED", "OPEN", "WAITING", "Response", "ResponseState", "as_bytes"]

#: After so many parts of a stream that were sent without a pause, other connections get a turn.
BURST: Final = 512

#: A response with one of these has no body (RFC 9110, section 6.4.1).
_WITHOUT_BODY: Final = frozenset({204, 304})


class ResponseState(enum.Enum):
    """How far a response is."""

    WAITING = "waiting"
    OPEN = "open"
    ENDED = "ended"


# Python 3.11 finds the member of an enum in 0.07 us, and a response asks ten times.
WAITING: Final = ResponseState.WAITING
OPEN: Final = ResponseState.OPEN
ENDED: Final = ResponseState.ENDED


def as_bytes(body: Any) -> bytes:
    """Return a part of a body; str is encoded as UTF-8.

    Raises:
        TypeError: It is something else. The exception is an `AssertionError` as well, for
            programs that catch that one.
    """
    if type(body) is bytes:
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    error = _NoBytes("Body is not bytes")
    error.add_note(f"It is bytes or str, not {type(body).__name__}.")
    raise error


class _NoBytes(TypeError, AssertionError):
    """A body is neither bytes nor str."""


class Response:
    """Build the messages of one response; it sends nothing itself.

    Attributes:
        state: How far the response is.
        server_send: Sends to the server; None if parts may not go there directly.
        send_part: The same while parts of type bytes, except the last one, may be sent without a
            check: the response is open and has a body. None otherwise.
        parts_left: Parts that may be sent before other tasks get a turn.
    """

    __slots__ = (
        "_as_given",
        "_without_body",
        "parts_left",
        "send_part",
        "server_send",
        "state",
    )

    def __init__(self) -> None:
        """Start with nothing sent."""
        self._as_given = False
        self._without_body = False
        self.state = WAITING
        self.server_send: Send | None = None
        self.send_part: Send | None = None
        self.parts_left = BURST

    def expect(self, *, head: bool, as_given: bool) -> None:
        """Record what the response may have.

        Args:
            head: Whether the request is a HEAD, whose response has no body.
            as_given: Whether headers and body are sent exactly as the program gives them, even
                if HTTP forbids them here.
        """
        self._as_given = as_given
        self._without_body = head and not as_given

    @property
    def streams(self) -> bool:
        """Whether the response is open and has a body."""
        return self.state is OPEN and not self._without_body

    def lose_client(self) -> None:
        """Record that the client has left."""
        self.server_send = self.send_part = None

    def start(self, status: int, headers: HeadersArgument, *, no_store: bool = False) -> Message:
        """Build the message that starts the response.

        Args:
            status: HTTP status.
            headers: Headers: pairs or a mapping, of str or bytes.
            no_store: Whether caches are told not to store the response, unless the headers tell
                them something else.

        Raises:
            ConnectionStateError: A response has started before.
            ValueError: A header holds CR, LF or NUL, or the status is not an int from 200 to 999.
        """
        start = self._start(status, headers, no_store)
        self.state = OPEN
        if not self._without_body:
            self.send_part = self.server_send
        return start

    def _start(self, status: int, headers: HeadersArgument, no_store: bool) -> Message:
        if self.state is not WAITING:
            raise ConnectionStateError(
                f"A second response was started while the first one is {self.state.value}; "
                "each request has one response"
            )
        given: object = status
        if not (isinstance(given, int) and 200 <= given <= 999):
            raise ValueError(f"The status of a response is an int from 200 to 999, not {status!r}")
        fields = pass_on_headers(headers)
        if not self._as_given:
            # The server decides how the body is framed, and sends this header itself.
            fields = [field for field in fields if field[0].strip().lower() != b"transfer-encoding"]
        if no_store and all(field[0].lower() != b"cache-control" for field in fields):
            fields.append((b"cache-control", b"no-store"))
        if status in _WITHOUT_BODY and not self._as_given:
            self._without_body = True
        return {"type": "http.response.start", "status": int(status), "headers": fields}

    def note(self, message: Message) -> None:
        """Record a message that the program has built itself."""
        if message["type"] == "http.response.start" and self.state is WAITING:
            self.state = OPEN
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.state = ENDED
            self.send_part = None

    def reset(self) -> None:
        """Begin again: the messages that were built were not sent."""
        self.state = WAITING
        self.send_part = None

    def body(self, body: Any, *, more_body: bool) -> Message:
        """Build the message with a part of the body.

        Raises:
            ConnectionStateError: The response has not started, or has ended.
            TypeError: The part is neither bytes nor str.
        """
        content = as_bytes(body)
        if self.state is WAITING:
            raise ConnectionStateError(
                "send_body() was called before send_headers(); call that first, or send_response()"
            )
        if self.state is ENDED:
            raise ConnectionStateError("A body was sent after the response had ended")
        if not more_body:
            self.state = ENDED
            self.send_part = None
        return {
            "type": "http.response.body",
            "body": b"" if self._without_body else content,
            "more_body": more_body,
        }

    def whole(
        self, status: int, body: Any, headers: HeadersArgument, *, no_store: bool = False
    ) -> tuple[Message, Message]:
        """Build the messages of a whole response; the arguments are as in `start`.

        Raises:
            ConnectionStateError: A response has started before.
            TypeError: The body is neither bytes nor str.
            ValueError: A header holds CR, LF or NUL.
        """
        content = body if type(body) is bytes else as_bytes(body)
        start = self._start(status, headers, no_store)
        self.state = ENDED
        return start, {
            "type": "http.response.body",
            "body": b"" if self._without_body else content,
            "more_body": False,
        }
