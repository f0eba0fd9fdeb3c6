"""The state of a WebSocket, as its consumer sees it: what may be sent, and how it ended."""

import contextlib
import enum
import logging
from collections.abc import Iterator

from channels_core.close_codes import require_valid_close_code
from channels_core.exceptions import ConnectionStateError

__all__ = ["Socket", "SocketState"]

logger = logging.getLogger("django.channels.consumer")


class SocketState(enum.Enum):
    """The stations of a connection, in their order."""

    #: No handshake was seen: a consumer that is driven by hand, as in a unit test.
    UNKNOWN = "unknown"
    CONNECTING = "connecting"
    OPEN = "open"
    #: We closed it or refused the handshake; the server has yet to confirm.
    CLOSING = "closing"
    CLOSED = "closed"


def _check_close(code: int | bool | None, reason: str | None) -> None:
    require_valid_close_code(code)
    if reason and len(reason.encode()) > 123:
        raise ValueError(
            f"A close reason has 123 bytes of UTF-8 at most, not {len(reason.encode())}"
        )


class Socket:
    """Track one connection; decides, and does no input or output.

    Attributes:
        state: Where the connection stands.
        code: Close code (RFC 6455) once it is known: the client's, or ours.
        reason: Close reason that goes with the code.
        told: Whether the server has told of the end.
    """

    def __init__(self) -> None:
        self.state = SocketState.UNKNOWN
        self.code: int | None = None
        self.reason = ""
        self.told = False

    @property
    def close_code(self) -> int:
        """The close code to tell the program: 1006 if neither side gave one."""
        return 1006 if self.code is None else self.code

    @property
    def last_code(self) -> int | None:
        """The close code once the connection has ended; None before."""
        return self.close_code if self.state is SocketState.CLOSED else None

    @property
    def last_reason(self) -> str:
        """The close reason once the connection has ended; often empty."""
        return self.reason if self.state is SocketState.CLOSED else ""

    def may_accept(self) -> bool:
        """Tell whether an accept can go out; False if the client has left.

        Raises:
            ConnectionStateError: The handshake was answered already.
        """
        if self.state in (SocketState.OPEN, SocketState.CLOSING):
            raise ConnectionStateError(
                f"accept() was called on a connection that is {self.state.value}; "
                "call it once, in connect(), and not after close()"
            )
        return self._peer_is_there("accept")

    def may_deny(self) -> bool:
        """Tell whether a refusal can go out; False if it did, or the client has left.

        Raises:
            ConnectionStateError: The handshake was accepted.
        """
        if self.state is SocketState.OPEN:
            raise ConnectionStateError("deny() was called after accept(); call close() instead")
        return self._peer_is_there("deny")

    def may_send(self, *, by_layer: bool) -> bool:
        """Tell whether a frame can go out; False if nobody would get it.

        Args:
            by_layer: Whether the frame comes of a message from the channel layer. Such a one
                may cross our own close without anybody's fault, so that it is dropped quietly.

        Raises:
            ConnectionStateError: The handshake is not answered yet, or we closed before.
        """
        if self.state is SocketState.OPEN:
            return True
        if self.state is SocketState.CONNECTING:
            raise ConnectionStateError(
                "send() was called before the handshake was accepted; call accept() first"
            )
        if self.state is SocketState.CLOSING and not by_layer:
            raise ConnectionStateError(
                "send() was called after this consumer closed the connection; "
                "return after close(), or ask is_open before sending"
            )
        return self._peer_is_there("send")

    def may_receive(self, *, by_layer: bool = False) -> bool:
        """Return whether a frame is to be handled; False if it crossed our own close.

        Args:
            by_layer: Whether the program sent it over the channel layer. Such a frame may come
                before the handshake is answered, and says nothing of it.
        """
        if self.state is SocketState.CLOSING:
            logger.debug("A frame came after our own close; ignored")
            return False
        if self.state is SocketState.CONNECTING and not by_layer:
            # A client sends nothing before: somebody else has accepted for us.
            self.accepted()
        return True

    def may_close(self) -> bool:
        """Tell whether a close can go out; False if it is closed, by us or by the client."""
        return self._peer_is_there("close")

    def _peer_is_there(self, what: str) -> bool:
        if self.state in (SocketState.CLOSING, SocketState.CLOSED):
            logger.debug("%s() was called after the connection had ended; ignored", what)
            return False
        return True

    def connecting(self) -> None:
        """Note that a handshake has begun."""
        self.state = SocketState.CONNECTING

    def accepted(self) -> None:
        """Note that we accepted the handshake."""
        self.state = SocketState.OPEN

    def answered(self, message_type: str) -> None:
        """Note a message that went out while the handshake was not answered."""
        if message_type == "websocket.accept":
            self.accepted()
        elif message_type != "websocket.send":
            self.closing(None, None)

    def closing(self, code: int | bool | None, reason: str | None) -> None:
        """Note that we closed, or refused the handshake."""
        self.state = SocketState.CLOSING
        self.code = 1000 if code is None or code is True else code
        self.reason = reason or ""

    @contextlib.contextmanager
    def closes(self, code: int | bool | None, reason: str | None) -> Iterator[None]:
        """Note that we close, and take that back if the close cannot be sent.

        Raises:
            ValueError: The connection is open, and the code or the reason cannot be sent.
        """
        before = self.state, self.code, self.reason
        if self.state is SocketState.OPEN:
            _check_close(code, reason)
        self.closing(code, reason)
        try:
            yield
        except BaseException:
            state, self.code, self.reason = before
            if self.state is not SocketState.CLOSED:  # as it is if the client has left
                self.state = state
            raise

    def peer_left(self, code: int, reason: str) -> None:
        """Note that the connection has ended, as the server tells."""
        self.state = SocketState.CLOSED
        self.told = True
        self.code = code
        self.reason = reason

    def lost(self) -> None:
        """Note that the connection has ended without a word (RFC 6455: 1006)."""
        self.state = SocketState.CLOSED
