"""The clauses of the contract on the capacity of channels."""

import re
from contextlib import suppress

from channels_core.exceptions import ChannelFull
from channels_testing._contract.contract import MARK, Contract, Layer, clause

__all__ = ["Capacity"]


class Capacity(Contract):
    """Capacity: the attribute of the layer, or else the option that it was made with."""

    @clause
    async def test_a_full_channel_refuses(self) -> None:
        """`send` raises ChannelFull once a channel holds as many messages as its capacity."""
        layer = await self.layer(capacity=3)
        channel = await layer.new_channel()
        await self.expect_capacity(layer, channel, self.setting(layer, "capacity", 3))

    @clause
    async def test_a_full_channel_keeps_what_it_has(self) -> None:
        """A message to a full channel does not replace one that waits there."""
        layer = await self.layer(capacity=3)
        channel = await layer.new_channel()
        await self.fill(layer, channel, self.setting(layer, "capacity", 3))
        with suppress(ChannelFull):
            await layer.send(channel, {"type": "too much"})
        await self.expect_next(layer, channel, {"type": "a", "number": 0}, "the first message")

    @clause
    async def test_a_message_taken_makes_room(self) -> None:
        """A full channel accepts another message after one was received."""
        layer = await self.layer(capacity=3)
        channel = await layer.new_channel()
        await self.fill(layer, channel, self.setting(layer, "capacity", 3))
        await self.received(layer, channel)
        await self.expect_room(layer, channel, "of which a message was received")

    @clause
    async def test_a_full_channel_leaves_others_free(self) -> None:
        """A full channel does not reduce the capacity of another channel."""
        layer = await self.layer(capacity=3)
        full, other = await layer.new_channel(), await layer.new_channel()
        await self.fill(layer, full, self.setting(layer, "capacity", 3))
        await self.expect_room(layer, other, "that is empty beside a full one")
        await self.expect_next(layer, other, MARK, "what the other channel got")

    @clause
    async def test_a_slow_receiver_loses_nothing_to_others(self) -> None:
        """Messages wait in their channel while other channels are being read."""
        layer = await self.layer(capacity=3)
        capacity = self.setting(layer, "capacity", 3)
        slow, quick = await layer.new_channel(), await layer.new_channel()
        for number in range(capacity + 1):
            try:
                await layer.send(slow, {"type": "a", "number": number})
            except ChannelFull:
                break
            await layer.send(quick, MARK)
            await self.expect_next(layer, quick, MARK, "what the quick receiver got")
        await self.expect_next(layer, slow, {"type": "a", "number": 0}, "the first that waited")

    @clause
    async def test_capacity_by_pattern(self) -> None:
        """`channel_capacity` sets the capacity of channels whose name matches a glob."""
        layer = await self.layer(capacity=5, channel_capacity={"contract.narrow.*": 2})
        await self.expect_capacity(layer, "contract.narrow.a", 2)
        for _ in range(3):
            await self.expect_room(layer, "contract.wide", "that matches no pattern")

    @clause
    async def test_capacity_by_compiled_pattern(self) -> None:
        """A key of `channel_capacity` may be a compiled regular expression."""
        pattern = re.compile(r"^contract\.narrow\.\d+$")
        layer = await self.layer(capacity=5, channel_capacity={pattern: 2})
        await self.expect_capacity(layer, "contract.narrow.1", 2)
        for _ in range(3):
            await self.expect_room(layer, "contract.narrow.x", "that does not match the pattern")

    @clause
    async def test_a_group_passes_over_full_channels(self) -> None:
        """`group_send` does not fail if a member is full, and the other members get the message."""
        layer = await self.layer("groups", capacity=3)
        full, other = await layer.new_channel(), await layer.new_channel()
        await self.fill(layer, full, self.setting(layer, "capacity", 3))
        for channel in (full, other):
            await layer.group_add("contract.room", channel)
        await layer.group_send("contract.room", {"type": "g"})
        await self.expect_next(layer, other, {"type": "g"}, "what the member with room got")

    @clause
    async def test_a_group_drops_what_is_too_much(self) -> None:
        """A member that was full does not get the message of the group later."""
        layer = await self.layer("groups", capacity=3)
        capacity = self.setting(layer, "capacity", 3)
        channel = await layer.new_channel()
        await layer.group_add("contract.room", channel)
        await self.fill(layer, channel, capacity)
        await layer.group_send("contract.room", {"type": "g"})
        # There is room as soon as a message is taken, so the one to the group has to come first.
        await self.until_waiting()
        for number in range(capacity):
            expected = {"type": "a", "number": number}
            await self.expect_next(layer, channel, expected, "what waited in the full channel")
        await self.expect_nothing(layer, channel, "after what the channel had room for")

    # Steps of these clauses

    async def fill(self, layer: Layer, channel: str, capacity: int) -> None:
        """Send as many messages as a channel holds."""
        for number in range(capacity):
            try:
                await layer.send(channel, {"type": "a", "number": number})
            except ChannelFull as error:
                raise AssertionError(
                    f"send() to {channel!r}: expected room for {capacity} messages, "
                    f"got ChannelFull after {number}"
                ) from error

    async def expect_capacity(self, layer: Layer, channel: str, capacity: int) -> None:
        """Fill a channel, and fail unless it rejects one message more."""
        await self.fill(layer, channel, capacity)
        try:
            await layer.send(channel, {"type": "too much"})
        except ChannelFull:
            return
        raise AssertionError(
            f"send() to {channel!r}: expected ChannelFull after {capacity} messages, got no error"
        )

    async def expect_room(self, layer: Layer, channel: str, what: str) -> None:
        """Send to a channel, and fail if it is full."""
        try:
            await layer.send(channel, MARK)
        except ChannelFull as error:
            raise AssertionError(
                f"send() to a channel {what}: expected room, got ChannelFull"
            ) from error
