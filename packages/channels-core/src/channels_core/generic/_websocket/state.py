"""The state of a WebSocket: whether a message may be sent, and how the connection ended.

A connection goes through CONNECTING, OPEN, CLOSING and CLOSED, and may skip each of them. A
consumer asks `may_accept`, `may_send` and the like before it sends. The client may leave at any
time, so a message that cannot reach it any more is ignored, with a debug line in the log. A message
that the program sends at the wrong time raises a `ConnectionStateError`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from channels_core.exceptions import ConnectionStateError

__all__ = ["CLOSED", "CLOSING", "CONNECTING", "OPEN", "UNKNOWN", "Socket"]

logger = logging.getLogger("django.channels.consumer")


# The states of a connection, in their order. No enum: Python 3.11 finds a member of one ten times
# as slowly as a global (0.35 us), and a start would take 0.3 ms longer.
#: A consumer without a server, as in a unit test.
UNKNOWN: Final = "unknown"
#: The handshake is not answered yet.
CONNECTING: Final = "connecting"
#: The handshake was accepted.
OPEN: Final = "open"
#: The consumer has closed the connection or refused the handshake; the server has not reported the
#: end yet.
CLOSING: Final = "closing"
#: The connection has ended.
CLOSED: Final = "closed"


def _check_close(code: int | bool | None, reason: str | None) -> None:
    # Loaded with the first consumer that closes its connection.
    from channels_core.close_codes import require_valid_close_code

    require_valid_close_code(code)
    if reason and len(reason.encode()) > 123:
        raise ValueError(
            f"A close reason has 123 bytes of UTF-8 at most, not {len(reason.encode())}"
        )


class Socket:
    """The state of one WebSocket; it neither sends nor receives.

    Attributes:
        state: The state of the connection, one of those above.
        code: The close code (RFC 6455) of the client or the consumer; None until one is known.
        reason: The close reason sent with the code.
        told: Whether the server has reported the end, or the program's own `websocket_disconnect`
            was called without such a report.
    """

    __slots__ = ("code", "reason", "state", "told")

    def __init__(self) -> None:
        self.state: str = UNKNOWN
        self.code: int | None = None
        self.reason = ""
        self.told = False

    @property
    def close_code(self) -> int:
        """The close code for the program: 1006 if neither side sent one."""
        return 1006 if self.code is None else self.code

    @property
    def last_code(self) -> int | None:
        """The close code once the connection has ended; None before."""
        return self.close_code if self.state == CLOSED else None

    @property
    def last_reason(self) -> str:
        """The close reason once the connection has ended; often empty."""
        return self.reason if self.state == CLOSED else ""

    def may_accept(self) -> bool:
        """Return whether to send an accept; False if the client has left.

        Raises:
            ConnectionStateError: The handshake was answered already.
        """
        if self.state in (OPEN, CLOSING):
            raise ConnectionStateError(
                f"accept() was called on a connection that is {self.state}; "
                "call it once, in connect(), and not after close()"
            )
        return self._peer_is_there("accept")

    def may_deny(self) -> bool:
        """Return whether to send a refusal; False if one was sent, or the client has left.

        Raises:
            ConnectionStateError: The handshake was accepted.
        """
        if self.state == OPEN:
            raise ConnectionStateError("deny() was called after accept(); call close() instead")
        return self._peer_is_there("deny")

    def may_send(self, *, by_layer: bool) -> bool:
        """Return whether to send a frame; False if the client has left.

        Args:
            by_layer: Whether a handler of a layer message sends it. The layer cannot know that this
                consumer has closed the connection, so such a frame is ignored then.

        Raises:
            ConnectionStateError: The handshake is not answered yet, or this consumer has closed the
                connection.
        """
        if self.state == OPEN:
            return True
        if self.state == CONNECTING:
            raise ConnectionStateError(
                "send() was called before the handshake was accepted; call accept() first"
            )
        if self.state == CLOSING and not by_layer:
            raise ConnectionStateError(
                "send() was called after this consumer closed the connection; "
                "return after close(), or ask is_open before sending"
            )
        return self._peer_is_there("send")

    def may_receive(self, *, by_layer: bool = False) -> bool:
        """Return whether to handle a frame; False if this consumer has closed the connection.

        Args:
            by_layer: Whether the program sent the frame over the channel layer. Such a frame may
                come before the handshake is answered.
        """
        if self.state == CLOSING:
            logger.debug("A frame came after our own close; ignored")
            return False
        if self.state == CONNECTING and not by_layer:
            # A client sends frames only after the accept: other code of the program has sent that.
            self.accepted()
        return True

    def may_close(self) -> bool:
        """Return whether to send a close; False if either side has closed the connection."""
        return self._peer_is_there("close")

    def _peer_is_there(self, what: str) -> bool:
        """Return whether neither side has closed, and log a call that is ignored."""
        if self.state in (CLOSING, CLOSED):
            logger.debug("%s() was called after the connection had ended; ignored", what)
            return False
        return True

    def connecting(self) -> None:
        """Record that a handshake has begun."""
        self.state = CONNECTING

    def accepted(self) -> None:
        """Record that the handshake was accepted."""
        self.state = OPEN

    def answered(self, message_type: str) -> None:
        """Record a message that was sent while the handshake was not answered."""
        if message_type == "websocket.accept":
            self.accepted()
        elif message_type != "websocket.send":
            self.closing(None, None)

    def closing(self, code: int | bool | None, reason: str | None) -> None:
        """Record that the consumer closes the connection, or refuses the handshake."""
        self.state = CLOSING
        self.code = 1000 if code is None or code is True else code
        self.reason = reason or ""

    @contextlib.contextmanager
    def closes(self, code: int | bool | None, reason: str | None) -> Iterator[None]:
        """Record a close that is sent within this context, and undo that if sending fails.

        Raises:
            ValueError: The connection is open, and the code or the reason is not allowed.
        """
        before = self.state, self.code, self.reason
        if self.state == OPEN:
            _check_close(code, reason)
        self.closing(code, reason)
        try:
            yield
        except BaseException:
            state, self.code, self.reason = before
            if self.state != CLOSED:  # unless the client has left meanwhile
                self.state = state
            raise

    def peer_left(self, code: int, reason: str) -> None:
        """Record the end of the connection that the server has reported."""
        self.state = CLOSED
        self.told = True
        self.code = code
        self.reason = reason

    def lost(self) -> None:
        """Record that the connection has ended; the code is 1006 (RFC 6455) if none was sent."""
        self.state = CLOSED
