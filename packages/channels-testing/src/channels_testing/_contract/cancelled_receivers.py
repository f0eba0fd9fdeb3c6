"""The clauses of the contract on calls of `receive` that are cancelled."""

import asyncio

from channels_testing._contract.contract import MARK, Contract, Layer, clause, expect

__all__ = ["CancelledReceivers"]

ROOM = "contract.room"

# How many turns of the event loop later the next cancellation comes: `_CLIMB` at first, until a
# cancellation is too late; then `_BACK` turns earlier after each late one, and one turn later after
# each other.
_CLIMB, _BACK = 4, 3


class CancelledReceivers(Contract):
    """A `receive` that is cancelled does not lose a message."""

    @clause
    async def test_a_cancelled_receive_takes_nothing(self) -> None:
        """A message that is sent after a `receive` was cancelled goes to the next `receive`."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await self.give_up(layer, channel)
        await layer.send(channel, {"type": "a"})
        await self.until_waiting()
        await self.expect_next(layer, channel, {"type": "a"}, "what was sent after the cancel")

    @clause
    async def test_a_cancelled_receive_on_a_name_takes_nothing(self) -> None:
        """The same for a channel by name, as when a worker stops and another one goes on."""
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
        """If one of two calls that wait on a channel is cancelled, the other gets the message."""
        layer = await self.layer()
        channel = await layer.new_channel()
        tasks = [self.receiving(layer, channel) for _ in range(2)]
        await self.until_waiting()
        await self.cancel(tasks[0])
        await layer.send(channel, {"type": "a"})
        expect(await self.result(tasks[1], channel), {"type": "a"}, "what the other receive got")

    @clause
    async def test_a_message_survives_its_receiver(self) -> None:
        """A message that arrives just as `receive` is cancelled is not lost."""
        layer = await self.layer()
        await self.race(layer, await layer.new_channel())

    @clause
    async def test_a_message_on_a_name_survives_its_receiver(self) -> None:
        """The same for a channel by name."""
        layer = await self.layer()
        await self.race(layer, "contract.jobs")

    async def give_up(self, layer: Layer, channel: str) -> None:
        """Start to receive, and cancel the call."""
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await self.cancel(waiting)

    async def cancel(self, task: asyncio.Task[object]) -> None:
        """Cancel a `receive` that waits."""
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
        """Cancel each `receive` about when a message reaches it, and look for the message."""
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
                # The cancellation came too late: from here on stay close to that turn.
                turns, step = max(0, turns - _BACK), 1
