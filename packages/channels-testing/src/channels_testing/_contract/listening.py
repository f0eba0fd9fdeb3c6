"""The clauses of the contract on the optional method `listen()`."""

import asyncio
from collections.abc import Callable
from typing import Any

from channels_core.exceptions import ChannelFull
from channels_testing._contract.contract import MARK, Contract, Layer, clause, expect

__all__ = ["Listening"]

ROOM = "contract.room"


class Reader:
    """Listens to one channel, and waits until it is woken."""

    def __init__(self, layer: Layer, channel: str, timeout: float) -> None:
        """Start to listen.

        Args:
            layer: The layer, which has `listen`.
            channel: The name of the channel.
            timeout: The seconds after which to give up on a message.
        """
        self.loop = asyncio.get_running_loop()
        self.channel = channel
        self.timeout = timeout
        self.woken = asyncio.Event()
        self.wakes = 0
        #: Whether `wake` was ever called outside of this event loop.
        self.woken_elsewhere = False
        self.take: Callable[[], dict[str, Any] | None] = layer.listen(channel, self.wake)

    def wake(self) -> None:
        """Record that a message may be there."""
        self.wakes += 1
        try:
            self.woken_elsewhere |= asyncio.get_running_loop() is not self.loop
        except RuntimeError:
            self.woken_elsewhere = True
        # Thread-safe, so that a call from elsewhere is reported instead of missed.
        self.loop.call_soon_threadsafe(self.woken.set)

    async def next(self) -> dict[str, Any]:
        """Return the next message; if none waits, wait until woken.

        Raises:
            AssertionError: `wake` was not called in time, or not in this event loop.
        """
        while True:
            self.woken.clear()
            if (message := self.take()) is not None:
                return message
            try:
                async with asyncio.timeout(self.timeout):
                    await self.woken.wait()
            except TimeoutError:
                raise AssertionError(
                    f"listen({self.channel!r}, wake): expected a call of wake() for a message, "
                    f"got none within {self.timeout} s"
                ) from None
            if self.woken_elsewhere:
                raise AssertionError(
                    f"listen({self.channel!r}, wake): expected wake() in the event loop of the "
                    "call, got it elsewhere"
                )


class Listening(Contract):
    """The optional method `listen()`: reading a channel without a task that waits."""

    @clause
    async def test_a_listener_takes_messages_in_order(self) -> None:
        """`listen` returns a function that takes one message per call, first in, first out."""
        layer, reader = await self.listener()
        for number in range(20):
            await layer.send(reader.channel, {"type": "a", "number": number})
        got = [(await reader.next())["number"] for _ in range(20)]
        expect(got, list(range(20)), "the messages in the order in which they were taken")
        expect(reader.take(), None, "what is taken after the last message")

    @clause
    async def test_a_listener_is_woken(self) -> None:
        """A message that arrives after the function has found none wakes the listener."""
        layer, reader = await self.listener()
        for number in range(5):
            expect(reader.take(), None, "what is taken from an empty channel")
            waiting = self.started(reader.next())
            await self.until_waiting()
            await layer.send(reader.channel, {"type": "a", "number": number})
            expect(await waiting, {"type": "a", "number": number}, "what the listener got")

    @clause
    async def test_a_listener_is_woken_before_its_first_look(self) -> None:
        """A message that arrives after `listen` wakes, even before the first look."""
        layer, reader = await self.listener()
        await layer.send(reader.channel, {"type": "a"})
        try:
            async with asyncio.timeout(self.timeout):
                await reader.woken.wait()
        except TimeoutError:
            raise AssertionError(
                f"listen({reader.channel!r}, wake): expected a call of wake() for the first "
                f"message, got none within {self.timeout} s"
            ) from None
        expect(await reader.next(), {"type": "a"}, "what the listener got")

    @clause
    async def test_a_listener_finds_what_waits(self) -> None:
        """The first look finds the messages that were sent before `listen`."""
        layer = await self.layer()
        self.method(layer, "listen")
        channel = await layer.new_channel()
        for number in range(2):
            await layer.send(channel, {"type": "a", "number": number})
        reader = Reader(layer, channel, self.timeout)
        got = [(await reader.next())["number"] for _ in range(2)]
        expect(got, [0, 1], "the messages that waited")

    @clause
    async def test_a_group_wakes_its_listeners(self) -> None:
        """A message to a group wakes each member that listens, and each takes it once."""
        layer, one = await self.listener("groups")
        other = Reader(layer, await layer.new_channel(), self.timeout)
        readers = (one, other)
        for reader in readers:
            await layer.group_add(ROOM, reader.channel)
        waiting = [self.started(reader.next()) for reader in readers]
        await self.until_waiting()
        await layer.group_send(ROOM, {"type": "g"})
        for reader, task in zip(readers, waiting, strict=True):
            expect(await task, {"type": "g"}, "what a member that listens got")
            await layer.send(reader.channel, MARK)
            expect(await reader.next(), MARK, "after the only message to the group")

    @clause
    async def test_what_a_listener_leaves_counts(self) -> None:
        """Until it is taken, a message counts towards the capacity of the channel."""
        layer, reader = await self.listener(capacity=3)
        for number in range(self.setting(layer, "capacity", 3)):
            await layer.send(reader.channel, {"type": "a", "number": number})
        try:
            await layer.send(reader.channel, {"type": "too much"})
        except ChannelFull:
            pass
        else:
            raise AssertionError(
                "send() to a channel whose listener takes nothing: expected ChannelFull once it "
                "is full, got no error"
            )
        expect((await reader.next())["number"], 0, "the first message")
        await layer.send(reader.channel, MARK)

    @clause
    async def test_what_a_listener_leaves_expires(self) -> None:
        """A listener is not given a message older than `expiry`, and is woken for the next."""
        layer, reader = await self.listener(expiry=self.expiry)
        await layer.send(reader.channel, {"type": "old"})
        await self.pass_time(self.setting(layer, "expiry", self.expiry) + self.lateness)
        expect(reader.take(), None, "what is taken after all messages have expired")
        waiting = self.started(reader.next())
        await self.until_waiting()
        await layer.send(reader.channel, MARK)
        expect(await waiting, MARK, "what is taken after all messages have expired")

    @clause
    async def test_a_forgotten_channel_has_no_listener(self) -> None:
        """After `forget_channel` the listener gets nothing that waited, and is not woken."""
        layer, reader = await self.listener()
        forget = self.method(layer, "forget_channel")
        await layer.send(reader.channel, {"type": "old"})
        await forget(reader.channel)
        await self.until_waiting()
        expect(reader.take(), None, "what is taken from a forgotten channel")
        wakes = reader.wakes
        await layer.send(reader.channel, MARK)
        await self.until_waiting()
        expect(reader.wakes, wakes, "the calls of wake() for a forgotten channel")

    @clause
    async def test_a_sender_in_a_thread_wakes_a_listener(self) -> None:
        """`async_to_sync(layer.send)` in a thread wakes the listener in its own event loop."""
        layer, reader = await self.listener()
        for number in range(5):
            waiting = self.started(reader.next())
            await self.until_waiting()
            await self.elsewhere(layer.send, reader.channel, {"type": "a", "number": number})
            expect(await waiting, {"type": "a", "number": number}, "what the listener got")

    @clause
    async def test_a_receive_beside_a_listener_gets_a_message(self) -> None:
        """If a `receive` waits beside a listener, exactly one of them gets each message."""
        layer, reader = await self.listener()
        waiting = self.receiving(layer, reader.channel)
        await self.until_waiting()
        for number in range(2):
            await layer.send(reader.channel, {"type": "a", "number": number})
        got = [await self.result(waiting, reader.channel), await reader.next()]
        expect(sorted(one["number"] for one in got), [0, 1], "what both got together")
        expect(reader.take(), None, "what is taken after the last message")

    async def listener(self, *extensions: str, **options: Any) -> tuple[Layer, Reader]:
        """Make a layer, and listen to a new channel of it.

        Raises:
            unittest.SkipTest: The layer has no `listen`, or lacks one of the extensions.
        """
        layer = await self.layer(*extensions, **options)
        self.method(layer, "listen")
        return layer, Reader(layer, await layer.new_channel(), self.timeout)
