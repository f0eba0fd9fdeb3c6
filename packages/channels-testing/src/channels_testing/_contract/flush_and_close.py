"""The clauses of the contract on `flush()`, `forget_channel()` and `close()`."""

import asyncio
import unittest

from channels_core.layers import has_groups
from channels_testing._contract.contract import MARK, Contract, Layer, clause, expect

__all__ = ["FlushAndClose"]

ROOM = "contract.room"


class FlushAndClose(Contract):
    """The extension `flush`, and the optional methods `forget_channel()` and `close()`."""

    @clause
    async def test_flush_drops_messages(self) -> None:
        """After `flush` no message waits in any channel."""
        layer = await self.layer("flush")
        channels = [await layer.new_channel(), "contract.jobs"]
        for channel in channels:
            await layer.send(channel, {"type": "old"})
        await layer.flush()
        for channel in channels:
            await self.expect_fresh(layer, channel, f"what {channel} got after the flush")

    @clause
    async def test_flush_drops_what_was_fetched(self) -> None:
        """`flush` also drops messages that were fetched while another channel was read."""
        layer = await self.layer("flush")
        one, other = await layer.new_channel(), await layer.new_channel()
        await layer.send(one, {"type": "old"})
        await layer.send(other, MARK)
        await self.expect_next(layer, other, MARK, "what the other channel got")
        await layer.flush()
        await self.expect_fresh(layer, one, "what the first channel got after the flush")

    @clause
    async def test_flush_drops_groups(self) -> None:
        """After `flush` no group has a member."""
        layer = await self.layer("groups", "flush")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        await layer.flush()
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await layer.group_send(ROOM, {"type": "g"})
        await layer.send(channel, MARK)
        expect(await self.result(waiting, channel), MARK, "after a message to its former group")

    @clause
    async def test_flush_leaves_a_layer_in_use(self) -> None:
        """A layer works after `flush` as it did before. An empty layer can be flushed."""
        layer = await self.layer("flush")
        await layer.flush()
        await layer.flush()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a"})
        await self.expect_next(layer, channel, {"type": "a"}, "what was sent after the flush")

    async def expect_fresh(self, layer: Layer, channel: str, what: str) -> None:
        """Start to receive, then send a mark, and fail if anything else arrives."""
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await layer.send(channel, MARK)
        expect(await self.result(waiting, channel), MARK, what)

    # Methods that not every layer has

    @clause
    async def test_a_forgotten_channel_is_empty(self) -> None:
        """`forget_channel` drops the messages of that channel only."""
        layer = await self.layer()
        forget = self.method(layer, "forget_channel")
        gone, other = await layer.new_channel(), await layer.new_channel()
        for channel in (gone, other):
            await layer.send(channel, {"type": "old"})
        await forget(gone)
        await self.expect_nothing(layer, gone, "in a forgotten channel")
        await self.expect_next(layer, other, {"type": "old"}, "what waited in another channel")

    @clause
    async def test_a_forgotten_channel_is_in_no_group(self) -> None:
        """`forget_channel` ends the memberships of that channel only."""
        layer = await self.layer("groups")
        forget = self.method(layer, "forget_channel")
        gone, other = await layer.new_channel(), await layer.new_channel()
        for channel in (gone, other):
            await layer.group_add(ROOM, channel)
        await forget(gone)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_nothing(layer, gone, "in a forgotten channel")
        await self.expect_next(layer, other, {"type": "g"}, "what the other member got")

    @clause
    async def test_a_layer_may_be_closed_twice(self) -> None:
        """`close` can be called again on a layer that is closed."""
        layer = await self.layer()
        close = self.method(layer, "close")
        await layer.send(await layer.new_channel(), {"type": "a"})
        await close()
        await close()

    @clause
    async def test_a_layer_answers_a_ping(self) -> None:
        """`ping` returns if the layer can be used, in any event loop."""
        layer = await self.layer()
        ping = self.method(layer, "ping")
        try:
            await ping()
        except NotImplementedError as error:  # as the base of layers has it
            raise unittest.SkipTest(f"the layer has no method ping(): {error}") from error
        await self.elsewhere(ping)

    @clause
    async def test_nothing_runs_on(self) -> None:
        """A layer that was flushed and closed leaves no task in the event loop."""
        before = asyncio.all_tasks()
        layer = await self.layer()
        channel = await layer.new_channel()
        if has_groups(layer):
            await layer.group_add(ROOM, channel)
        await layer.send(channel, {"type": "a"})
        await self.received(layer, channel)
        await self.close_layer(layer)
        # A cancelled task needs a turn of the loop to end.
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
        if left:
            names = ", ".join(sorted(repr(task.get_coro()) for task in left))
            raise AssertionError(f"tasks after the layer was closed: expected none, got {names}")
