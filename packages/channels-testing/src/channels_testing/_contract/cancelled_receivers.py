"""What a channel layer does for receivers: the clauses of the contract on a cancelled one."""

import asyncio

from channels_testing._contract.contract import MARK, Contract, Layer, clause, expect

__all__ = ["Receivers"]

ROOM = "contract.room"

# By how many turns of the event loop to be later the next time: quickly at first, then back and
# forth.
_CLIMB, _BACK = 4, 3


class Receivers(Contract):
    """A receiver that goes away takes nothing along."""

    @clause
    async def test_a_cancelled_receive_takes_nothing(self) -> None:
        """After a `receive` was cancelled, the next message is there for the next `receive`."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.give_up(layer, channel)
        await layer.send(channel, {"type": "a"})
        await self.until_waiting()
        await self.expect_next(layer, channel, {"type": "a"}, "what was sent after the cancel")

    @clause
    async def test_a_cancelled_receive_on_a_name_takes_nothing(self) -> None:
        """The same for a channel by name, as a worker that stops leaves it to another."""
        layer = await self.layer()
        await self.give_up(layer, "contract.jobs")
        await layer.send("contract.jobs", {"type": "a"})
        await self.until_waiting()
        await self.expect_next(
            layer, "contract.jobs", {"type": "a"}, "what was sent after the cancel"
        )

    @clause
    async def test_a_cancelled_receive_leaves_its_groups(self) -> None:
        """A channel whose `receive` was cancelled is still in its groups."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        await self.give_up(layer, channel)
        await layer.group_send(ROOM, {"type": "g"})
        await self.until_waiting()
        await self.expect_next(layer, channel, {"type": "g"}, "what the member got")

    @clause
    async def test_a_cancelled_receive_leaves_the_others(self) -> None:
        """When one of two that wait on a channel is cancelled, the other gets the message."""
        layer = await self.layer()
        channel = await layer.new_channel()
        tasks = [self.receiving(layer, channel) for _ in range(2)]
        await self.until_waiting()
        await self.cancel(tasks[0])
        await layer.send(channel, {"type": "a"})
        expect(await self.result(tasks[1], channel), {"type": "a"}, "what the other receive got")

    @clause
    async def test_a_message_survives_its_receiver(self) -> None:
        """A message that is on its way to a `receive` as that is cancelled is not lost."""
        layer = await self.layer()
        await self.race(layer, await layer.new_channel())

    @clause
    async def test_a_message_on_a_name_survives_its_receiver(self) -> None:
        """The same for a channel by name."""
        layer = await self.layer()
        await self.race(layer, "contract.jobs")

    async def give_up(self, layer: Layer, channel: str) -> None:
        """Begin to receive, and cancel it."""
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await self.cancel(waiting)

    async def cancel(self, task: asyncio.Task[object]) -> None:
        """Cancel a receive that waits."""
        task.cancel()
        await asyncio.wait([task], timeout=self.timeout)
        if not task.done():
            raise AssertionError(
                "a receive() that was cancelled: expected a CancelledError, "
                f"got no end within {self.timeout} s"
            )
        if not task.cancelled():
            raise AssertionError(
                "a receive() that was cancelled: expected a CancelledError, "
                f"got {task.exception() or task.result()!r}"
            )

    async def race(self, layer: Layer, channel: str) -> None:
        """Cancel receivers about when a message reaches them, and look for the message."""
        turns, step = 0, _CLIMB
        for number in range(self.races):
            message = {"type": "a", "number": number}
            waiting = self.receiving(layer, channel)
            await self.until_waiting()
            sending = self.started(layer.send(channel, message))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting, sending])
            await sending
            if waiting.cancelled():
                await layer.send(channel, MARK)
                await self.expect_next(layer, channel, message, "after a receive was cancelled")
                await self.expect_next(layer, channel, MARK, "after the only message")
                turns += step
            else:
                expect(await waiting, message, "what was received")
                # It came too late: from here on stay about the turn that it takes.
                turns, step = max(0, turns - _BACK), 1
