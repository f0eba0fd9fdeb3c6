"""Pass connections on to a server that seems to be far away.

    python -m benchmarks.slow_network PORT SECONDS

listens on a port that it prints, and ends when its standard input does. Everything takes the
seconds longer in each direction, and stays in order.
"""

import asyncio
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

__all__ = ["main", "slow_network"]


class Direction(asyncio.Protocol):
    """One direction of a connection: hands what arrives to the other one, later."""

    def __init__(self, delay: float) -> None:
        """Wait for the connection."""
        self.delay = delay
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.other: Direction | None = None
        self.late: deque[bytes] = deque()

    def connection_made(self, transport: Any) -> None:
        """Remember where to write."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Let the data arrive on the other side after the delay."""
        self.late.append(data)
        self.loop.call_later(self.delay, self._arrive)

    def _arrive(self) -> None:
        data = self.late.popleft()
        if self.other is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side, too."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class FromClient(Direction):
    """The direction from a client, which connects to the server first."""

    def __init__(self, port: int, delay: float) -> None:
        """Take the port of the server."""
        super().__init__(delay)
        self.port = port
        self.connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Read only when the server can be written to."""
        super().connection_made(transport)
        transport.pause_reading()
        self.connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        back = Direction(self.delay)
        back.other = self
        await self.loop.create_connection(lambda: back, "127.0.0.1", self.port)
        self.other = back
        self.transport.resume_reading()


@contextmanager
def slow_network(port: int, delay: float) -> Iterator[int]:
    """Run it in a process of its own, and yield the port to connect to."""
    command = [sys.executable, "-m", "benchmarks.slow_network", str(port), str(delay)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the network has no pipe")
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def serve(port: int, delay: float) -> None:
    """Pass connections on until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: FromClient(port, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()


def main() -> None:
    """Serve."""
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))


if __name__ == "__main__":
    main()
