"""The clauses of the contract on the extension `groups`."""

from channels_testing._contract.contract import Contract, clause, expect

__all__ = ["Groups"]

ROOM, HALL = "contract.room", "contract.hall"


class Groups(Contract):
    """Groups: which channels are members, and where a message to a group arrives."""

    @clause
    async def test_a_group_reaches_every_member(self) -> None:
        """A message to a group arrives in each of its channels, once."""
        layer = await self.layer("groups")
        channels = [await layer.new_channel() for _ in range(3)]
        for channel in channels:
            await layer.group_add(ROOM, channel)
        await layer.group_send(ROOM, {"type": "g"})
        for channel in channels:
            await self.expect_next(layer, channel, {"type": "g"}, "what a member got")
            await self.expect_nothing(layer, channel, "after the only message to the group")

    @clause
    async def test_a_group_reaches_who_waits(self) -> None:
        """A member that waits in `receive` gets a message to the group."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        waiting = self.receiving(layer, channel)
        await self.until_waiting()
        await layer.group_send(ROOM, {"type": "g"})
        expect(await self.result(waiting, channel), {"type": "g"}, "what the waiting member got")

    @clause
    async def test_a_group_has_many_members(self) -> None:
        """A message to a group of 100 channels arrives in each."""
        layer = await self.layer("groups")
        channels = [await layer.new_channel() for _ in range(100)]
        for channel in channels:
            await layer.group_add(ROOM, channel)
        await layer.group_send(ROOM, {"type": "g"})
        for number, channel in enumerate(channels):
            await self.expect_next(layer, channel, {"type": "g"}, f"what member {number} got")

    @clause
    async def test_only_members_get_a_message(self) -> None:
        """A message to a group does not reach other groups, or channels outside of the group."""
        layer = await self.layer("groups")
        outside, elsewhere = await layer.new_channel(), await layer.new_channel()
        await layer.group_add(ROOM, await layer.new_channel())
        await layer.group_add(HALL, elsewhere)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_nothing(layer, outside, "in a channel of no group")
        await self.expect_nothing(layer, elsewhere, "in a channel of another group")

    @clause
    async def test_to_join_twice_is_to_join_once(self) -> None:
        """A channel that was added to a group twice gets each message once."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        await layer.group_add(ROOM, channel)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_next(layer, channel, {"type": "g"}, "what the member got")
        await self.expect_nothing(layer, channel, "after the only message to the group")

    @clause
    async def test_to_leave_once_is_enough(self) -> None:
        """A channel that was added twice and discarded once is not a member any more."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        await layer.group_add(ROOM, channel)
        await layer.group_discard(ROOM, channel)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_nothing(layer, channel, "after it left the group")

    @clause
    async def test_who_left_gets_nothing(self) -> None:
        """A channel that was discarded gets no more messages; the other members do."""
        layer = await self.layer("groups")
        gone, stays = await layer.new_channel(), await layer.new_channel()
        for channel in (gone, stays):
            await layer.group_add(ROOM, channel)
        await layer.group_discard(ROOM, gone)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_next(layer, stays, {"type": "g"}, "what the member that stayed got")
        await self.expect_nothing(layer, gone, "after it left the group")

    @clause
    async def test_to_leave_a_group_of_others(self) -> None:
        """Discarding a channel that is not a member does nothing, also if the group is empty."""
        layer = await self.layer("groups")
        member, stranger = await layer.new_channel(), await layer.new_channel()
        await layer.group_discard(ROOM, stranger)
        await layer.group_add(ROOM, member)
        await layer.group_discard(ROOM, stranger)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_next(layer, member, {"type": "g"}, "what the member got")

    @clause
    async def test_a_group_may_be_empty(self) -> None:
        """Sending to a group without members does nothing."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        await layer.group_send(ROOM, {"type": "g"})
        await layer.group_add(ROOM, channel)
        await layer.group_discard(ROOM, channel)
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_nothing(layer, channel, "in a channel of no group")

    @clause
    async def test_a_channel_has_many_groups(self) -> None:
        """A channel gets the messages of all its groups, and can leave one of them."""
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        groups = [f"{ROOM}.{number}" for number in range(20)]
        for group in groups:
            await layer.group_add(group, channel)
        await layer.group_discard(groups[0], channel)
        for group in groups:
            await layer.group_send(group, {"type": "g", "to": group})
        got = [(await self.received(layer, channel))["to"] for _ in groups[1:]]
        expect(sorted(got), sorted(groups[1:]), "the groups whose messages came")
        await self.expect_nothing(layer, channel, "after the messages of all its groups")

    @clause
    async def test_a_named_channel_may_be_a_member(self) -> None:
        """A channel by name can join a group, and gets the messages of the group."""
        layer = await self.layer("groups")
        await layer.group_add(ROOM, "contract.jobs")
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_next(layer, "contract.jobs", {"type": "g"}, "what the member got")

    @clause
    async def test_a_group_is_no_channel(self) -> None:
        """A group and a channel of the same name are separate."""
        layer = await self.layer("groups")
        member = await layer.new_channel()
        await layer.group_add(ROOM, member)
        await layer.send(ROOM, {"type": "a"})
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_next(layer, member, {"type": "g"}, "what the member got")
        await self.expect_nothing(layer, member, "after the only message to the group")

    @clause
    async def test_groups_and_channels_keep_one_order(self) -> None:
        """The messages of one sender to a channel and to its groups arrive in that order.

        With `one_order = False`, those to the channel do, and those to each of its groups.
        """
        layer = await self.layer("groups")
        channel = await layer.new_channel()
        for group in (ROOM, HALL):
            await layer.group_add(group, channel)
        for number in range(0, 30, 3):
            await layer.send(channel, {"type": "a", "number": number})
            await layer.group_send(ROOM, {"type": "g", "number": number + 1})
            await layer.group_send(HALL, {"type": "g", "number": number + 2})
        got = [(await self.received(layer, channel))["number"] for _ in range(30)]
        if self.one_order:
            expect(got, list(range(30)), "the messages in the order in which they came")
        for first in range(3):
            part = [number for number in got if number % 3 == first]
            expect(part, list(range(first, 30, 3)), "the messages in the order in which they came")

    @clause
    async def test_each_member_owns_its_message(self) -> None:
        """If a member or the sender changes a message, the other members do not see the change."""
        layer = await self.layer("groups")
        channels = [await layer.new_channel() for _ in range(3)]
        for channel in channels:
            await layer.group_add(ROOM, channel)
        waiting = [self.receiving(layer, channel) for channel in channels[:2]]
        await self.until_waiting()
        deep: dict[str, list[int]] = {"list": [1]}
        message = {"type": "g", "deep": deep}
        await layer.group_send(ROOM, message)
        expect(message, {"type": "g", "deep": {"list": [1]}}, "the sender's message, once sent")
        deep["list"].append(2)
        for task, channel in zip(waiting, channels, strict=False):
            got = await self.result(task, channel)
            expect(got, {"type": "g", "deep": {"list": [1]}}, "what a member got")
            got["deep"]["list"].append(3)
        await self.expect_next(
            layer, channels[2], {"type": "g", "deep": {"list": [1]}}, "what the last member got"
        )
