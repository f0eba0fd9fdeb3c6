"""The clauses of the contract on the extension `gaps`."""

import asyncio
from typing import Any

from channels_core.exceptions import MessagesMissed
from channels_testing._contract.contract import MARK, Contract, Layer, clause, expect

__all__ = ["Gaps"]

ROOM = "contract.room"


class Gaps(Contract):
    """Gaps: a channel for which messages may be lost is told, once, and goes on."""

    @clause
    async def test_who_waits_is_told_of_a_gap(self) -> None:
        """A `receive` that waits raises MessagesMissed; the next one gets the next message."""
        layer, channel = await self.member()
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await self.lose_messages(layer)
        await self.expect_error(waiting, MessagesMissed, "receive() when messages were lost")
        await self.expect_whole(layer, channel)

    @clause
    async def test_a_gap_is_told_later(self) -> None:
        """A `receive` that begins after messages were lost raises MessagesMissed, once."""
        layer, channel = await self.member()
        await self.received_once(layer, channel)
        await self.lose_messages(layer)
        await self.until_waiting()
        call = layer.receive(channel)
        await self.expect_error(call, MessagesMissed, "receive() after messages were lost")
        await self.expect_whole(layer, channel)

    @clause
    async def test_a_listener_is_told_of_a_gap(self) -> None:
        """A listener is woken, and its function raises MessagesMissed once, and then goes on."""
        layer, channel = await self.member()
        woken = asyncio.Event()
        take = self.method(layer, "listen")(channel, woken.set)
        expect(take(), None, "what is taken from an empty channel")
        await self.lose_messages(layer)
        await self.woken(woken)
        try:
            got = take()
        except MessagesMissed:
            pass
        else:
            raise AssertionError(
                f"a listener when messages were lost: expected a MessagesMissed, got {got!r}"
            )
        expect(take(), None, "what is taken after the gap")
        woken.clear()
        await layer.group_send(ROOM, MARK)
        await self.woken(woken)
        expect(take(), MARK, "what the listener got after the gap")

    async def member(self) -> tuple[Layer, str]:
        """Make a layer, and a channel of it in a group."""
        layer = await self.layer("groups", "gaps")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        return layer, channel

    async def received_once(self, layer: Layer, channel: str) -> None:
        """Receive a message, so that the layer knows that somebody reads the channel."""
        await layer.group_send(ROOM, MARK)
        await self.expect_next(layer, channel, MARK, "what the member got")

    async def expect_whole(self, layer: Layer, channel: str) -> None:
        """Fail unless the channel is still a member, and gets the next message."""
        __tracebackhide__ = True
        waiting: asyncio.Task[Any] = self.receiving(layer, channel)
        await self.until_waiting()
        await layer.group_send(ROOM, MARK)
        expect(await self.result(waiting, channel), MARK, "what the member got after the gap")

    async def woken(self, event: asyncio.Event) -> None:
        """Wait for a call of `wake`, or fail after the time-out."""
        try:
            async with asyncio.timeout(self.timeout):
                await event.wait()
        except TimeoutError:
            raise AssertionError(
                f"listen(channel, wake): expected a call of wake(), got none within "
                f"{self.timeout} s"
            ) from None
