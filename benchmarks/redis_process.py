"""Do one part of a row of the case `redis`, in a process of its own.

    python -m benchmarks.redis_process ROLE PEER LAYER PORT [COUNT BATCH]

prints a line when it is ready, and ends when its standard input does. The roles:

- `members`: COUNT members of a group. Each time all have received a batch, it prints a line. A line
  that it reads is answered with what was wrong, or with an empty line.
- `sender`: sends what the lines tell it that it reads.
- `worker`: runs jobs after the first line that it reads, and prints their numbers.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from benchmarks.honesty import DishonestError, check_equal, check_sequence
from benchmarks.layers import small
from benchmarks.redis_layers import layer_of

__all__ = ["GROUP", "JOBS", "Process", "main", "process"]

GROUP: Final = "room"
JOBS: Final = "jobs"


class Process:
    """Such a process, as the one sees it that measures."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Talk to a process that has been started."""
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._process = process
        self._stdin, self.stdout = process.stdin, process.stdout

    def tell(self, line: str) -> None:
        """Write a line."""
        self._stdin.write(f"{line}\n".encode())

    async def line(self) -> str:
        """Read a line.

        Raises:
            RuntimeError: The process has ended.
        """
        line = await self.stdout.readline()
        if not line:
            raise RuntimeError("a process has ended before it was told to")
        return line.decode().strip()

    async def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def process(role: str, peer: str, kind: str, port: int, *counts: int) -> Process:
    """Start a process, and return when it is ready."""
    started = Process(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.redis_process", role, peer, kind, str(port)),
            *map(str, counts),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
        )
    )
    await started.line()
    return started


def say(line: str = "") -> None:
    """Write a line."""
    os.write(1, f"{line}\n".encode())


async def lines() -> AsyncIterator[str]:
    """Return the lines of standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield line.decode()


class Room:
    """Members of a group that wait in their tasks for messages."""

    def __init__(self, layer: Any, count: int, batch: int, *, copies: bool) -> None:
        """Expect the same number of messages for each batch.

        Args:
            layer: The layer.
            count: How many members there are.
            batch: How many messages a batch has.
            copies: Whether each member gets a copy of its own.
        """
        self.layer = layer
        self.copies = copies
        self.got: list[list[Any]] = [[] for _ in range(count)]
        self.expected = self.left = count * batch

    async def run(self) -> None:
        """Join, read, and answer."""
        tasks = []
        for got in self.got:
            channel = await self.layer.new_channel()
            await self.layer.group_add(GROUP, channel)
            tasks.append(asyncio.ensure_future(self.read(channel, got)))
        await asyncio.sleep(0)
        say("ready")
        async for line in lines():
            say(self.wrong(int(line)))

    async def read(self, channel: str, got: list[Any]) -> None:
        """Receive for one member."""
        while True:
            got.append(await self.layer.receive(channel))
            self.left -= 1
            if not self.left:
                self.left = self.expected
                say("arrived")

    def wrong(self, count: int) -> str:
        """Return what is wrong with what has arrived; those of a batch may arrive in any order."""
        try:
            for got in self.got:
                found = sorted(got, key=lambda message: message["number"])
                check_sequence("messages of a member", map(small, range(count)), found)
            if self.copies:
                objects = {id(message) for got in self.got for message in got}
                check_equal("copies for members", count * len(self.got), len(objects))
        except DishonestError as error:
            return str(error)
        return ""


async def send(layer: Any) -> None:
    """Send to channels, to all of them at once and to each in order."""

    async def to(channel: str, first: int, count: int) -> None:
        for number in range(first, first + count):
            await layer.send(channel, small(number))

    say("ready")
    async for line in lines():
        order = json.loads(line)
        first, count = order["first"], order["count"]
        await asyncio.gather(*(to(channel, first, count) for channel in order["channels"]))


def work(peer: str, kind: str, port: int) -> None:
    """Run jobs: each is its number, which is told to whoever measures."""
    if peer == "limit":
        asyncio.run(work_by_hand(port))
        return
    layer = layer_of(peer, kind, port)
    from channels.consumer import AsyncConsumer
    from channels.worker import Worker

    class Jobs(AsyncConsumer):
        async def job(self, message: Any) -> None:
            say(str(message["number"]))

    asyncio.set_event_loop(asyncio.new_event_loop())
    worker = Worker(Jobs.as_asgi(), [JOBS], layer)
    say("ready")
    sys.stdin.readline()
    worker.run()


async def work_by_hand(port: int) -> None:
    """Take jobs from a list, one by one."""
    import redis.asyncio
    from msgpack import unpackb

    client: Any = redis.asyncio.Redis(port=port)
    say("ready")
    sys.stdin.readline()
    while True:
        _, data = await client.blpop([JOBS])
        say(str(unpackb(data)["number"]))


def main() -> None:
    """Do the part."""
    role, peer, kind, port, *counts = sys.argv[1:]
    if role == "worker":
        work(peer, kind, int(port))
        return
    layer = layer_of(peer, kind, int(port))
    if role == "sender":
        asyncio.run(send(layer))
    else:
        count, batch = map(int, counts)
        # With channels-redis core, the members of a process share one dict.
        asyncio.run(Room(layer, count, batch, copies=peer != "upstream").run())


if __name__ == "__main__":
    main()
