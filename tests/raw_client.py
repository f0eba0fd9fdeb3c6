"""A client that writes to a server byte by byte, as only a hostile one does.

It blocks: a test that needs many clients opens many, and none of them needs a task or a thread.
"""

import base64
import contextlib
import os
import select
import socket
import struct
import zlib
from types import TracebackType
from typing import Final, NamedTuple, Self

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Head",
    "RawClient",
    "deflated",
    "frame",
    "masked",
    "upgrade",
]

#: Opcodes of frames. Source: RFC 6455, section 5.2.
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: A safety net, in seconds, for a machine under load.
PATIENCE: Final = 60


class Head(NamedTuple):
    """The first line and the headers of a response; the names are in lower case."""

    status: int
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for one, value in self.headers if one == name]


def upgrade(
    host: str,
    path: str = "/",
    *lines: str | bytes,
    origin: str | bytes | None = None,
    without: str = "",
    method: str = "GET",
) -> bytes:
    """Return the head of a handshake.

    Args:
        host: The `Host`.
        path: The path as the client writes it, with the query.
        lines: More headers, without their line ends.
        origin: The `Origin`; by default that of the host, and "" for none.
        without: The name of a header to leave out.
        method: The method.
    """
    if origin is None:
        origin = f"http://{host}"
    key = base64.b64encode(os.urandom(16)).decode()
    usual: list[str | bytes] = [
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *([b"Origin: " + _encoded(origin)] if origin else []),
    ]
    kept = [
        line for line in usual if not without or not _encoded(line).startswith(without.encode())
    ]
    first = f"{method} {path} HTTP/1.1"
    return b"".join(_encoded(line) + b"\r\n" for line in [first, *kept, *lines, b""])


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"mask",
    length: int | None = None,
) -> bytes:
    """Return a frame.

    Args:
        opcode: The kind of frame.
        payload: What it carries.
        fin: Whether it is the last frame of a message.
        reserved: The three reserved bits; 4 is the first, that of compressed messages.
        mask: Four bytes, or None for a frame without a mask.
        length: The length that the frame claims, if it is another one than that of the payload.
    """
    size = len(payload) if length is None else length
    first = fin << 7 | reserved << 4 | opcode
    bit = 0 if mask is None else 0x80
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + payload if mask is None else head + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """Return a payload under a mask."""
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return number.to_bytes(size, "big")


def deflated(payload: bytes) -> bytes:
    """Return a compressed payload, for a frame with `reserved=4`. Source: RFC 7692."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


class RawClient:
    """One TCP connection to a server on this machine."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        """Connect.

        Args:
            port: The port of the server.
            receive_buffer: Bytes that the system keeps for this client, if not as many as usual: a
                client that never reads is noticed sooner then.
        """
        self._socket = socket.socket()
        self._socket.settimeout(PATIENCE)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._read = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self._socket.close()

    def reset(self) -> None:
        """Close the connection by a reset, which servers see as an error."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def send(self, data: bytes) -> bool:
        """Write, and return whether the server still takes it."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _more(self) -> bool:
        """Read once, and return whether the connection goes on."""
        try:
            data = self._socket.recv(2**16)
        except (BrokenPipeError, ConnectionResetError):
            return False
        self._read += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken

    def exactly(self, size: int) -> bytes:
        """Return as many bytes, or fewer if the server closes the connection."""
        while len(self._read) < size and self._more():
            pass
        return self._take(size)

    def rest(self) -> bytes:
        """Return everything until the server closes the connection."""
        while self._more():
            pass
        return self._take(len(self._read))

    def until(self, end: bytes) -> bytes:
        """Return everything up to these bytes, or to the end of the connection."""
        while end not in self._read and self._more():
            pass
        at = self._read.find(end)
        return self._take(len(self._read) if at < 0 else at + len(end))

    def head(self) -> Head | None:
        """Return the head of a response, or None if the server closes without one."""
        raw = self.until(b"\r\n\r\n")
        if not raw.endswith(b"\r\n\r\n"):
            assert not raw, raw
            return None
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        status = int(first.split()[1])
        if status == 100:
            return self.head()
        return Head(status, [(name.lower(), value.strip()) for name, value in pairs])

    def status(self) -> int | None:
        """Return the status of a response, or None if the server closes without one."""
        head = self.head()
        return head and head.status

    def answered(self, seconds: float = 0.3) -> int | None:
        """Return the status as above, but end the request if no answer has begun after a while.

        A server may wait for more, or just keep a connection open that it cannot make sense of.
        """
        self.finish_if_silent(seconds)
        return self.status()

    def finish_if_silent(self, seconds: float) -> None:
        """End the request if no answer has begun after a while."""
        if not self._read and not select.select([self._socket], [], [], seconds)[0]:
            self.finish()

    def finish(self) -> None:
        """Tell the server that nothing more will come; it can still answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def frame(self) -> tuple[int, bytes] | None:
        """Return the opcode and the payload of the next frame, or None at the end."""
        start = self.exactly(2)
        if len(start) < 2:
            return None
        size = start[1] & 0x7F
        if size == 126:
            [size] = struct.unpack("!H", self.exactly(2))
        elif size == 127:
            [size] = struct.unpack("!Q", self.exactly(8))
        return start[0] & 0x0F, self.exactly(size)

    def text(self) -> str | None:
        """Return the next message of text, or None if another frame or the end comes first."""
        match self.frame():
            case (opcode, payload) if opcode == TEXT:
                return payload.decode()
        return None

    def close_code(self) -> int | None:
        """Read up to the frame that closes, and return its code; None if there is none."""
        while found := self.frame():
            opcode, payload = found
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else 1005
        return None
