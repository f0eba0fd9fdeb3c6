"""The clauses of the contract on sending messages to channels and receiving them."""

from channels_testing._contract.contract import MARK, Contract, clause, expect

__all__ = ["Messages"]


class Messages(Contract):
    """Sending and receiving: who gets a message, when, and in which order."""

    @clause
    async def test_a_message_waits_until_it_is_received(self) -> None:
        """A message that is sent to a new channel waits for a later `receive`."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a"})
        await self.expect_next(layer, channel, {"type": "a"}, "the message that was sent")

    @clause
    async def test_a_receive_waits_until_a_message_is_sent(self) -> None:
        """A `receive` that waits gets the next message that is sent."""
        layer = await self.layer()
        channel = await layer.new_channel()
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        expect(waiting.done(), expected=False, what="receive() on an empty channel has ended")
        await layer.send(channel, {"type": "a"})
        expect(await self.result(waiting, channel), {"type": "a"}, "what the waiting receive got")

    @clause
    async def test_a_receive_waits_as_long_as_it_takes(self) -> None:
        """A `receive` has no time-out: a channel may be quiet for a long time."""
        layer = await self.layer()
        channel = await layer.new_channel()
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await self.pass_time(self.idle)
        await layer.send(channel, {"type": "a"})
        got = await self.result(waiting, channel)
        expect(got, {"type": "a"}, f"what a receive got after {self.idle} s")

    @clause
    async def test_a_named_channel_needs_no_receiver(self) -> None:
        """A message to a channel by name waits, even if nobody has received there yet."""
        layer = await self.layer()
        await layer.send("contract.jobs", {"type": "a"})
        await self.expect_next(layer, "contract.jobs", {"type": "a"}, "the message that was sent")

    @clause
    async def test_a_named_channel_reaches_who_waits(self) -> None:
        """A message to a channel by name reaches a `receive` that waits there, as in a worker."""
        layer = await self.layer()
        waiting = self.receiving(layer, "contract.jobs")
        await self.until_waiting()
        await layer.send("contract.jobs", {"type": "a"})
        got = await self.result(waiting, "contract.jobs")
        expect(got, {"type": "a"}, "what the waiting receive got")

    @clause
    async def test_messages_arrive_in_order(self) -> None:
        """A channel is a queue: first in, first out."""
        layer = await self.layer()
        channel = await layer.new_channel()
        for number in range(20):
            await layer.send(channel, {"type": "a", "number": number})
        got = [(await self.received(layer, channel))["number"] for _ in range(20)]
        expect(got, list(range(20)), "the messages in the order in which they came")

    @clause
    async def test_a_message_arrives_once(self) -> None:
        """A message is delivered at most once."""
        layer = await self.layer()
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "a"})
        await self.received(layer, channel)
        await self.expect_nothing(layer, channel, "after the only message")

    @clause
    async def test_receivers_share_a_channel(self) -> None:
        """If several calls of `receive` wait on a channel, exactly one gets each message."""
        layer = await self.layer()
        waiting = [self.receiving(layer, "contract.jobs") for _ in range(3)]
        await self.until_waiting()
        for number in range(3):
            await layer.send("contract.jobs", {"type": "a", "number": number})
        got = [(await self.result(task, "contract.jobs"))["number"] for task in waiting]
        expect(sorted(got), [0, 1, 2], "what three receivers got together")
        again = self.receiving(layer, "contract.jobs")
        await self.until_waiting()
        await layer.send("contract.jobs", MARK)
        expect(await self.result(again, "contract.jobs"), MARK, "after each got its message")

    @clause
    async def test_channels_do_not_mix(self) -> None:
        """Each channel has its own messages, whatever the order in which channels are read."""
        layer = await self.layer()
        channels = [await layer.new_channel() for _ in range(3)]
        for channel in channels:
            await layer.send(channel, {"type": "a", "to": channel})
        for channel in reversed(channels):
            await self.expect_next(
                layer, channel, {"type": "a", "to": channel}, f"the message sent to {channel}"
            )
