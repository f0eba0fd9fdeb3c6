"""The clauses of the contract on the extension `members`."""

from typing import Any, Final

from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["Members"]

ROOM, HALL = "contract.room", "contract.hall"
ANN: Final[dict[str, Any]] = {"id": 1, "name": "Ann", "tags": ["a"]}
ANNA: Final[dict[str, Any]] = {"id": 1, "name": "Anna"}
BOB: Final[dict[str, Any]] = {"id": "bob"}


def joined(member: dict[str, Any]) -> dict[str, Any]:
    """Return the notice that a member has joined."""
    return {"type": "group.joined", "group": ROOM, "member": member}


def left(member: dict[str, Any]) -> dict[str, Any]:
    """Return the notice that a member has left."""
    return {"type": "group.left", "group": ROOM, "member": member}


class Members(Contract):
    """Members: who is in a group, as its channels have told."""

    @clause
    async def test_a_first_connection_is_told(self) -> None:
        """All channels of the group get `group.joined`, the new one too."""
        layer = await self.with_members()
        watcher, channel = await layer.new_channel(), await layer.new_channel()
        await layer.group_add(ROOM, watcher)
        await layer.group_add(ROOM, channel, member=ANN)
        for name in (watcher, channel):
            await self.expect_next(layer, name, joined(ANN), "what the group was told")
            await self.expect_nothing(layer, name, "after the only notice")

    @clause
    async def test_members_are_listed(self) -> None:
        """`group_members` lists each id with its data and `connections`, by time of joining."""
        layer = await self.with_members()
        await self.expect_listed(layer, [], "of an empty group")
        await layer.group_add(ROOM, await layer.new_channel())
        await self.join_as(layer, ANN)
        await self.join_as(layer, BOB)
        expected = [{**ANN, "connections": 1}, {**BOB, "connections": 1}]
        await self.expect_listed(layer, expected, "of two members and a channel without one")

    @clause
    async def test_an_id_is_text_or_a_number(self) -> None:
        """`1` and `"1"` are the ids of two members, and come back as they are."""
        layer = await self.with_members()
        for name in (1, "1"):
            await self.join_as(layer, {"id": name})
        expected: list[dict[str, Any]]
        expected = [{"id": 1, "connections": 1}, {"id": "1", "connections": 1}]
        await self.expect_listed(layer, expected, "of two ids that look alike")

    @clause
    async def test_a_second_connection_is_not_told(self) -> None:
        """More connections of an id are one member, with the data of the newest one."""
        layer = await self.with_members()
        watcher = await self.watcher(layer)
        await self.join_as(layer, ANN)
        await self.join_as(layer, BOB)
        newest = await self.join_as(layer, ANNA)
        expected = [{**ANNA, "connections": 2}, {**BOB, "connections": 1}]
        await self.expect_listed(layer, expected, "of an id with two connections")
        await layer.group_discard(ROOM, newest)
        expected = [{**ANN, "connections": 1}, {**BOB, "connections": 1}]
        await self.expect_listed(layer, expected, "once the newest connection has left")
        await self.expect_told(layer, watcher, joined(ANN), joined(BOB))

    @clause
    async def test_a_member_may_change_its_data(self) -> None:
        """`group_add` with a member again records its new data, without a notice."""
        layer = await self.with_members()
        watcher = await self.watcher(layer)
        channel = await self.join_as(layer, ANN)
        await layer.group_add(ROOM, channel, member=ANNA)
        await self.expect_listed(layer, [{**ANNA, "connections": 1}], "after new data")
        await self.expect_told(layer, watcher, joined(ANN))

    @clause
    async def test_a_renewal_keeps_the_member(self) -> None:
        """`group_add` without a member leaves the one that the channel has."""
        layer = await self.with_members()
        watcher = await self.watcher(layer)
        channel = await self.join_as(layer, ANN)
        await layer.group_add(ROOM, channel)
        await self.pass_time(self.linger(layer) + self.lateness)
        await self.expect_listed(layer, [{**ANN, "connections": 1}], "after a renewal")
        await self.expect_told(layer, watcher, joined(ANN))

    @clause
    async def test_the_newest_connection_has_the_last_word(self) -> None:
        """`group_add` of an older connection, as a renewal with its data, does not change that."""
        layer = await self.with_members()
        older = await self.join_as(layer, ANN)
        newest = await self.join_as(layer, ANNA)
        await layer.group_add(ROOM, older, member=ANN)
        await self.expect_listed(layer, [{**ANNA, "connections": 2}], "after a renewal")
        await layer.group_discard(ROOM, newest)
        await self.expect_listed(layer, [{**ANN, "connections": 1}], "without the newest one")

    @clause
    async def test_a_last_connection_is_told(self) -> None:
        """`member_linger` seconds after the last connection has left, there is `group.left`."""
        layer = await self.with_members(member_linger=3 * self.expiry)
        watcher = await self.watcher(layer)
        first, second = await self.join_as(layer, ANN), await self.join_as(layer, ANNA)
        await layer.group_discard(ROOM, first)
        await layer.group_discard(ROOM, second)
        await self.expect_listed(layer, [{**ANNA, "connections": 0}], "just after it has left")
        await self.expect_told(layer, watcher, joined(ANN))
        await self.pass_time(self.linger(layer, 3) + self.lateness)
        await self.expect_listed(layer, [], "some time after it has left")
        await self.expect_told(layer, watcher, left(ANNA))

    @clause
    async def test_who_comes_back_is_not_told(self) -> None:
        """A member that comes back within `member_linger` seconds has not left."""
        layer = await self.with_members(member_linger=3 * self.expiry)
        watcher = await self.watcher(layer)
        for _ in range(2):
            await layer.group_discard(ROOM, await self.join_as(layer, ANN))
        await self.join_as(layer, ANNA)
        await self.pass_time(self.linger(layer, 3) + self.lateness)
        await self.expect_listed(layer, [{**ANNA, "connections": 1}], "after it came back")
        await self.expect_told(layer, watcher, joined(ANN))

    @clause
    async def test_a_forgotten_channel_ends_its_member(self) -> None:
        """`forget_channel` ends the connection of a member, as `group_discard` does."""
        layer = await self.with_members()
        forget = self.method(layer, "forget_channel")
        watcher = await self.watcher(layer)
        await forget(await self.join_as(layer, ANN))
        await self.pass_time(self.linger(layer) + self.lateness)
        await self.expect_listed(layer, [], "after its channel was forgotten")
        await self.expect_told(layer, watcher, joined(ANN), left(ANN))

    @clause
    async def test_an_expired_membership_ends_its_member(self) -> None:
        """A member is not listed any more once its membership has expired."""
        layer = await self.with_members(group_expiry=self.expiry)
        await self.join_as(layer, ANN)
        await self.pass_time(self.setting(layer, "group_expiry", self.expiry) + self.lateness)
        await layer.group_members(ROOM)
        await self.pass_time(self.linger(layer) + self.lateness)
        await self.expect_listed(layer, [], "after its membership has expired")

    @clause
    async def test_a_flush_ends_all_members(self) -> None:
        """After `flush` no group has a member, and nobody is told of those that it had."""
        layer = await self.with_members("flush")
        await self.join_as(layer, ANN)
        await layer.group_discard(ROOM, await self.join_as(layer, BOB))
        await layer.flush()
        await self.expect_listed(layer, [], "after a flush")
        watcher = await self.watcher(layer)
        await self.pass_time(self.linger(layer) + self.lateness)
        await self.join_as(layer, ANN)
        await self.expect_told(layer, watcher, joined(ANN))

    @clause
    async def test_members_of_groups_do_not_mix(self) -> None:
        """A channel may be one member here and another there, and leave one of them."""
        layer = await self.with_members()
        channel = await self.join_as(layer, ANN)
        await layer.group_add(HALL, channel, member=BOB)
        expect(
            await layer.group_members(HALL),
            [{**BOB, "connections": 1}],
            "the other group's members",
        )
        await layer.group_discard(HALL, channel)
        await self.pass_time(self.linger(layer) + self.lateness)
        expect(await layer.group_members(HALL), [], "the members of a group that was left")
        await self.expect_listed(layer, [{**ANN, "connections": 1}], "of the group that it is in")

    @clause
    async def test_what_is_no_member_is_refused(self) -> None:
        """`group_add` raises a TypeError or a ValueError for other data, and joins nothing."""
        layer = await self.with_members()
        channel = await layer.new_channel()
        refused: list[Any] = [{}, {"id": ""}, {"id": None}, {"id": 1.5}, "ann", {"id": 1, 2: 3}]
        refused += [
            {"id": 1, "connections": 2},
            {"id": 1, "tags": {"a"}},
            {"id": 1, "a": "x" * 5000},
        ]
        for member in refused:
            call = layer.group_add(ROOM, channel, member=member)
            await self.expect_error(
                call, (TypeError, ValueError), f"group_add(member={member!r:.40})"
            )
        await layer.group_send(ROOM, {"type": "g"})
        await self.expect_nothing(layer, channel, "in a channel that was not to join")

    @clause
    async def test_data_of_a_member_are_copied(self) -> None:
        """If somebody changes the data of a member afterwards, nobody else sees the change."""
        layer = await self.with_members()
        member: dict[str, Any] = {"id": 1, "tags": ["a"]}
        channel = await self.join_as(layer, member)
        member["tags"].append("b")
        (await self.received(layer, channel))["member"]["tags"].append("c")
        for _ in range(2):
            (listed,) = await layer.group_members(ROOM)
            expect(listed["tags"], ["a"], "the data of the member")
            listed["tags"].append("d")

    @clause
    async def test_notices_are_not_kept(self) -> None:
        """In a group with history, notices have no position, and are not in the history."""
        layer = await self.with_members("history", history={"contract.*": {"size": 5, "age": 600}})
        channel = await self.join_as(layer, ANN)
        await self.expect_next(layer, channel, joined(ANN), "what the group was told")
        expect((await layer.group_history(ROOM)).messages, [], "the history of the group")

    @clause
    async def test_instances_share_members(self) -> None:
        """A member is listed, and told, to all instances, wherever its connections are."""
        self.require_shared()
        one, other = await self.with_members(), await self.with_members()
        watcher = await self.watcher(one)
        here, there = await self.join_as(one, ANN), await self.join_as(other, ANNA)
        for layer in (one, other):
            await self.expect_listed(layer, [{**ANNA, "connections": 2}], "of both instances")
        await one.group_discard(ROOM, here)
        await self.pass_time(self.linger(one) + self.lateness)
        await self.expect_listed(one, [{**ANNA, "connections": 1}], "of the other instance")
        await self.expect_told(one, watcher, joined(ANN))
        await other.group_discard(ROOM, there)
        await self.pass_time(self.linger(one) + self.lateness)
        await self.expect_listed(one, [], "of no instance")
        await self.expect_told(one, watcher, left(ANNA))

    # Steps of these clauses

    async def with_members(self, *extensions: str, **options: Any) -> Layer:
        """Make a layer with a short linger time."""
        linger = {"member_linger": self.expiry}
        return await self.layer("groups", "members", *extensions, **{**linger, **options})

    def linger(self, layer: Layer, times: float = 1) -> float:
        """Return the seconds after which a member has left."""
        seconds: float = self.setting(layer, "member_linger", times * self.expiry)
        return seconds

    async def join_as(self, layer: Layer, member: dict[str, Any]) -> str:
        """Add a new channel to the group, with a member."""
        channel: str = await layer.new_channel()
        await layer.group_add(ROOM, channel, member=member)
        return channel

    async def watcher(self, layer: Layer) -> str:
        """Add a new channel to the group, without a member."""
        channel: str = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        return channel

    async def expect_listed(self, layer: Layer, members: list[dict[str, Any]], what: str) -> None:
        """Fail unless the group has these members."""
        __tracebackhide__ = True
        expect(await layer.group_members(ROOM), members, f"group_members() {what}")

    async def expect_told(self, layer: Layer, watcher: str, *notices: dict[str, Any]) -> None:
        """Fail unless the group was told these notices since the last look, and no other."""
        __tracebackhide__ = True
        # Settles what is due, in a layer that has no timers since the clock is the contract's.
        await layer.group_members(ROOM)
        await self.until_waiting()
        for notice in notices:
            await self.expect_next(layer, watcher, notice, "what the group was told")
        await self.expect_nothing(layer, watcher, "after what the group was told")
