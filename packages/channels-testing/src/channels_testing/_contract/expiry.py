"""The clauses of the contract on the expiry of messages and memberships."""

from channels_core.exceptions import ChannelFull
from channels_testing._contract.contract import MARK, Contract, clause

__all__ = ["Expiry"]


class Expiry(Contract):
    """Expiry: the attributes of the layer, or else the options that it was made with."""

    @clause
    async def test_a_message_expires(self) -> None:
        """A message older than `expiry` is not delivered."""
        layer = await self.layer(expiry=self.expiry)
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "old"})
        await self.pass_time(self.setting(layer, "expiry", self.expiry) + self.lateness)
        await self.expect_nothing(layer, channel, "after all messages have expired")

    @clause
    async def test_a_message_lasts_until_it_expires(self) -> None:
        """A message younger than `expiry` is delivered."""
        layer = await self.layer(expiry=3 * self.expiry)
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "young"})
        await self.pass_time(self.setting(layer, "expiry", 3 * self.expiry) / 3)
        await self.expect_next(layer, channel, {"type": "young"}, "after a third of its time")

    @clause
    async def test_each_message_expires_by_itself(self) -> None:
        """A message expires without the newer ones that wait behind it."""
        layer = await self.layer(expiry=4 * self.expiry)
        expiry = self.setting(layer, "expiry", 4 * self.expiry)
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "old"})
        await self.pass_time(expiry * 0.6)
        await layer.send(channel, {"type": "young"})
        await self.pass_time(expiry * 0.4 + self.lateness)
        await self.expect_next(layer, channel, {"type": "young"}, "once the first has expired")

    @clause
    async def test_an_expired_message_makes_room(self) -> None:
        """A full channel accepts messages again once its messages have expired."""
        layer = await self.layer(expiry=self.expiry, capacity=3)
        channel = await layer.new_channel()
        for _ in range(self.setting(layer, "capacity", 3)):
            await layer.send(channel, {"type": "old"})
        await self.pass_time(self.setting(layer, "expiry", self.expiry) + self.lateness)
        try:
            await layer.send(channel, MARK)
        except ChannelFull as error:
            raise AssertionError(
                "send() to a channel in which all messages have expired: expected room, "
                "got ChannelFull"
            ) from error

    @clause
    async def test_a_membership_expires(self) -> None:
        """A channel is no longer in a group once `group_expiry` has passed since it joined."""
        layer = await self.layer("groups", group_expiry=self.expiry)
        channel = await layer.new_channel()
        await layer.group_add("contract.room", channel)
        await self.pass_time(self.setting(layer, "group_expiry", self.expiry) + self.lateness)
        await layer.group_send("contract.room", {"type": "g"})
        await self.expect_nothing(layer, channel, "after its membership has expired")

    @clause
    async def test_a_membership_can_be_renewed(self) -> None:
        """`group_add` of a member starts its `group_expiry` again."""
        layer = await self.layer("groups", group_expiry=4 * self.expiry)
        expiry = self.setting(layer, "group_expiry", 4 * self.expiry)
        channel = await layer.new_channel()
        await layer.group_add("contract.room", channel)
        await self.pass_time(expiry * 0.6)
        await layer.group_add("contract.room", channel)
        await self.pass_time(expiry * 0.4 + self.lateness)
        await layer.group_send("contract.room", {"type": "g"})
        await self.expect_next(layer, channel, {"type": "g"}, "after its membership was renewed")
