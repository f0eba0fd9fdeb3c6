"""The clauses of the contract on threads, event loops and several instances."""

import asyncio

from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["ThreadsAndLoops"]

ROOM = "contract.room"


class ThreadsAndLoops(Contract):
    """Other threads, other event loops, and other instances with the same backend."""

    @clause
    async def test_send_from_another_thread(self) -> None:
        """`async_to_sync(layer.send)` in a thread reaches a `receive` in this event loop."""
        layer = await self.layer()
        channel = await layer.new_channel()
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await self.elsewhere(layer.send, channel, {"type": "a"})
        expect(await self.result(waiting, channel), {"type": "a"}, "what the waiting receive got")

    @clause
    async def test_group_send_from_another_thread(self) -> None:
        """`async_to_sync(layer.group_send)` in a thread reaches a `receive` in this event loop."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await self.elsewhere(layer.group_send, ROOM, {"type": "g"})
        expect(await self.result(waiting, channel), {"type": "g"}, "what the waiting member got")

    @clause
    async def test_join_and_leave_from_another_thread(self) -> None:
        """Channels can join and leave groups in any thread and event loop."""
        layer = await self.layer("groups")
        joins, leaves = await layer.new_channel(), await layer.new_channel()
        await layer.group_add(ROOM, leaves)
        await self.elsewhere(layer.group_add, ROOM, joins)
        await self.elsewhere(layer.group_discard, ROOM, leaves)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_next(layer, joins, {"type": "g"}, "what the member got that joined")
        await self.expect_nothing(layer, leaves, "after it left the group")

    @clause
    async def test_one_event_loop_after_another(self) -> None:
        """A message that was sent in an event loop that is closed by now arrives in another."""
        layer = await self.layer()
        numbers = list(range(10))
        for number in numbers:
            await self.elsewhere(layer.send, "contract.jobs", {"type": "a", "number": number})
        got = [await self.elsewhere(layer.receive, "contract.jobs") for _ in numbers]
        what = "what was received, each message in an event loop of its own"
        expect([message["number"] for message in got], numbers, what)
        await self.expect_nothing(layer, "contract.jobs", "after all messages")

    @clause
    async def test_several_event_loops_receive(self) -> None:
        """Two event loops can receive at the same time, each from a channel of its own."""
        layer = await self.layer()
        here, there = await layer.new_channel(), await layer.new_channel()
        tasks = [
            self.receiving(layer, here),
            self.started(self.elsewhere(layer.receive, there)),
        ]
        await self.until_waiting()
        for channel in (here, there):
            await layer.send(channel, {"type": "a", "to": channel})
        for task, channel in zip(tasks, (here, there), strict=True):
            got = await self.result(task, channel)
            expect(got, {"type": "a", "to": channel}, f"what {channel} got")

    @clause
    async def test_what_a_layer_offers_is_known_everywhere(self) -> None:
        """`extensions` lists names, and can be read in a thread without an event loop."""
        layer = await self.layer()
        extensions = await asyncio.to_thread(getattr, layer, "extensions")
        expect(
            [type(extension) for extension in extensions],
            [str] * len(extensions),
            "the types of the names in `extensions`",
        )

    # Instances with one backend

    @clause
    async def test_instances_share_channels(self) -> None:
        """A message that is sent through one instance is received through another."""
        one, other = await self.two()
        channel = await one.new_channel()
        waiting = self.receiving(one, channel)
        named = self.receiving(one, "contract.jobs")
        await self.until_waiting()
        await other.send(channel, {"type": "a"})
        await other.send("contract.jobs", {"type": "b"})
        expect(await self.result(waiting, channel), {"type": "a"}, "what the new channel got")
        expect(await self.result(named, "contract.jobs"), {"type": "b"}, "what the name got")

    @clause
    async def test_instances_share_groups(self) -> None:
        """A message to a group reaches members that joined through any instance."""
        one, other = await self.two("groups")
        members = [(layer, await layer.new_channel()) for layer in (one, other)]
        for layer, channel in members:
            await layer.group_add(ROOM, channel)
        await one.group_send(ROOM, {"type": "g"})
        for layer, channel in members:
            await self.expect_next(layer, channel, {"type": "g"}, "what a member got")

    @clause
    async def test_instances_make_different_channels(self) -> None:
        """Two instances never make the same channel name."""
        one, other = await self.two()
        names = {await layer.new_channel() for layer in (one, other) for _ in range(20)}
        expect(len(names), 40, "the different names of 40 new channels")

    async def two(self, *extensions: str) -> tuple[Layer, Layer]:
        """Make two instances that share channels.

        Raises:
            unittest.SkipTest: Instances of this layer do not share channels.
        """
        self.require_shared()
        return await self.layer(*extensions), await self.layer(*extensions)
