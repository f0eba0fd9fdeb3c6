"""The clauses of the contract on members that stay while many others come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Final

from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["Churn"]

ROOM = "contract.room"

#: The messages to the group, of which each must reach the member that stays.
MESSAGES: Final = 1000
#: The members that come and leave in the meantime, at least.
LEAVERS: Final = 200
# How many of them come and leave beside each other.
_BESIDE: Final = 10
# They leave after so many turns of the event loop at most: each at another moment of a message.
_MOMENTS: Final = 20
# As many messages may be on their way to the member that stays.
_AHEAD: Final = 20


class Reader:
    """Reads one channel of a group until it leaves."""

    def __init__(self, layer: Layer, channel: str) -> None:
        """Read a channel.

        Args:
            layer: The layer.
            channel: Its name.
        """
        self.layer = layer
        self.channel = channel
        self.got: list[Any] = []
        self.changed: asyncio.Event = asyncio.Event()

    def take(self, message: Any) -> None:
        """Keep a message."""
        self.got.append(message)
        self.changed.set()

    async def receive(self) -> None:
        """Receive one message after the other, for ever."""
        while True:
            self.take(await self.layer.receive(self.channel))

    async def listen(self) -> None:
        """Listen, for ever."""
        woken = asyncio.Event()
        take = self.layer.listen(self.channel, woken.set)
        while True:
            woken.clear()
            while (message := take()) is not None:
                self.take(message)
            await woken.wait()


class Churn(Contract):
    """Churn: who stays in a group loses nothing while others leave it."""

    @clause
    async def test_who_stays_receives_everything(self) -> None:
        """While 200 members come and leave, one stays, and receives 1,000 of 1,000 messages."""
        layer = await self.layer("groups")
        for _ in range(self.churns):
            await self.churn(layer, Reader.receive)

    @clause
    async def test_who_stays_hears_everything(self) -> None:
        """The same with members that `listen`."""
        layer = await self.layer("groups")
        self.method(layer, "listen")
        for _ in range(self.churns):
            await self.churn(layer, Reader.listen)

    async def churn(self, layer: Layer, read: Callable[[Reader], Awaitable[None]]) -> None:
        """Send to a group that members leave all the time, and look at what one gets."""
        stays, _ = await self.enter(layer, read)
        left = 0

        async def come_and_leave() -> None:
            nonlocal left
            while len(stays.got) < MESSAGES or left < LEAVERS:
                reader, reading = await self.enter(layer, read)
                for _ in range(left % _MOMENTS):
                    await asyncio.sleep(0)
                await self.exit(reader, reading)
                left += 1

        others = [self.started(come_and_leave()) for _ in range(_BESIDE)]
        for number in range(MESSAGES):
            await layer.group_send(ROOM, {"type": "a", "number": number})
            await asyncio.sleep(0)  # a layer without a network never waits
            await self.until_received(stays, number + 1 - _AHEAD)
        await self.until_received(stays, MESSAGES)
        await asyncio.gather(*others)
        expect([one["number"] for one in stays.got], list(range(MESSAGES)), "what the member got")
        await layer.group_discard(ROOM, stays.channel)

    async def enter(
        self, layer: Layer, read: Callable[[Reader], Awaitable[None]]
    ) -> tuple[Reader, asyncio.Task[None]]:
        """Add a channel to the group, and start to read it."""
        reader = Reader(layer, await layer.new_channel())
        await layer.group_add(ROOM, reader.channel)
        reading: Any = read(reader)
        return reader, self.started(reading)

    async def exit(self, reader: Reader, reading: asyncio.Task[None]) -> None:
        """Leave as a consumer does whose connection ends."""
        reading.cancel()
        await asyncio.wait([reading])
        await reader.layer.group_discard(ROOM, reader.channel)
        forget = getattr(reader.layer, "forget_channel", None)
        if forget is not None and isawaitable(result := forget(reader.channel)):
            await result

    async def until_received(self, reader: Reader, number: int) -> None:
        """Wait until a member has received a number of messages, or fail after the time-out."""
        while len(reader.got) < number:
            reader.changed.clear()
            try:
                async with asyncio.timeout(self.timeout):
                    await reader.changed.wait()
            except TimeoutError:
                raise AssertionError(
                    f"a member that stays: expected {number} messages, got {len(reader.got)}, and "
                    f"none within {self.timeout} s"
                ) from None
