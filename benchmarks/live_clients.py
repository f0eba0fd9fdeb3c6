"""WebSocket clients and servers over loopback, with as little code as possible.

The clients are written by hand, because 2,000 of them share one process, and their own cost would
otherwise be most of what is measured. They never offer compression.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.honesty import DishonestError

__all__ = ["LiveClient", "LiveServer", "connect", "free_port", "on_last_processor"]

HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
TEXT: Final = 0x81
PING: Final = 0x89
PONG: Final = 0x8A
#: Seconds for a server to listen, and for all clients to be connected.
PATIENCE: Final = 60


class LiveClient(asyncio.Protocol):
    """One client.

    Attributes:
        texts: The content of the text frames that arrived.
        connected: Done when the handshake is answered.
    """

    def __init__(self, arrived: Callable[[bytes], object]) -> None:
        """Call back for each text frame."""
        self.texts: list[bytes] = []
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived = arrived
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake."""
        self._transport = transport
        transport.write(HANDSHAKE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a handshake that was not answered."""
        if not self.connected.done():
            self.connected.set_exception(DishonestError("a handshake was refused"))

    def data_received(self, data: bytes) -> None:
        """Read the answer to the handshake, then frames."""
        self._data += data
        if not self.connected.done():
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise DishonestError(f"a handshake was answered with {head[:80]!r}")
            self._data = rest
            self.connected.set_result(None)
        at = 0
        content = self._data
        while len(content) - at >= 2:
            length = content[at + 1]
            begin = at + 2
            if length == 126:
                length = int.from_bytes(content[at + 2 : at + 4])
                begin = at + 4
            if len(content) < begin + length:
                break
            payload = content[begin : begin + length]
            if content[at] == TEXT:
                self.texts.append(payload)
                self._arrived(payload)
            elif content[at] == PING:
                self._write(PONG, payload)
            at = begin + length
        self._data = content[at:]

    def send(self, text: bytes) -> None:
        """Send a text frame of at most 125 bytes."""
        self._write(TEXT, text)

    def _write(self, kind: int, payload: bytes) -> None:
        # With a mask of zeros, the content is masked and unchanged.
        frame = bytes([kind, 0x80 | len(payload), 0, 0, 0, 0]) + payload
        if self._transport is not None:
            self._transport.write(frame)

    def close(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()


async def connect(port: int, arrived: Callable[[bytes], object]) -> LiveClient:
    """Return a client whose handshake was accepted."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: LiveClient(arrived), "127.0.0.1", port)
    await asyncio.wait_for(client.connected, PATIENCE)
    return client


class LiveServer:
    """A server process.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, case: str, row: str, peer: str, server: str, processors: str) -> None:
        """Start it, and wait until it listens."""
        self.port = free_port()
        arguments = [case, row, peer, server, str(self.port), processors]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.live_server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server of {peer} does not listen")
            time.sleep(0.02)

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the server has no pipes")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def on_last_processor() -> Iterator[str]:
    """Keep this process on the last processor, and give the others, with commas, to servers."""
    if not hasattr(os, "sched_getaffinity"):
        yield ""
        return
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {usable[-1]})
    try:
        yield ",".join(map(str, usable[:-1] or usable))
    finally:
        os.sched_setaffinity(0, usable)
