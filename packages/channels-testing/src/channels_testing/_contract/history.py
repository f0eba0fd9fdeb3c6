"""The clauses of the contract on the extension `history`."""

import asyncio
from typing import Any

from channels_core.layer_extensions import HistoryLimits, group_tag, parse_position
from channels_testing._contract.contract import Contract, Layer, clause, expect

__all__ = ["History"]

ROOM, HALL, OTHER = "contract.room", "contract.hall", "other.room"
SIZE = 5


class History(Contract):
    """History: messages to some groups are kept, and have a position."""

    @clause
    async def test_history_is_what_the_members_got(self) -> None:
        """`group_history` returns what the members received, in order, with its positions."""
        layer = await self.with_history()
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        await self.tell(layer, 1, 2, 3)
        got = [await self.received(layer, channel) for _ in range(3)]
        answer = await layer.group_history(ROOM)
        expect(answer.messages, got, "the history of the group")
        expect([one["number"] for one in got], [1, 2, 3], "what the member got")
        expect(answer.position, got[-1]["position"], "the newest position")
        expect(answer.complete, True, "`complete` without `after`")

    @clause
    async def test_positions_are_consecutive(self) -> None:
        """A position is `tag.epoch.number`: of the group, of its history, and one more each."""
        layer = await self.with_history()
        start = await self.newest(layer)
        await self.tell(layer, 1, 2, 3)
        messages = (await layer.group_history(ROOM)).messages
        found = [parse_position(text) for text in [start, *(one["position"] for one in messages)]]
        epoch = found[0].epoch if found[0] else None
        expected = [(group_tag(ROOM), epoch, number) for number in range(4)]
        expect([position and tuple(position) for position in found], expected, "the positions")

    @clause
    async def test_history_needs_no_member(self) -> None:
        """Messages to a group without members are kept; a group without messages has none."""
        layer = await self.with_history()
        await self.expect_kept(layer, [], True, "the history of an unused group")
        await self.tell(layer, 1)
        await self.expect_kept(layer, [1], True, "the history of a group without members")

    @clause
    async def test_history_gives_the_newest(self) -> None:
        """`limit` without `after`: the newest messages, in order; 0 asks for the position."""
        layer = await self.with_history()
        await self.tell(layer, 1, 2, 3)
        await self.expect_kept(layer, [2, 3], True, "with limit=2", limit=2)
        await self.expect_kept(layer, [1, 2, 3], True, "with limit=9", limit=9)
        await self.expect_kept(layer, [], True, "with limit=0", limit=0)

    @clause
    async def test_history_after_a_position(self) -> None:
        """`after`: the messages after a position, the oldest first, at most `limit`."""
        layer = await self.with_history()
        start = await self.newest(layer)
        await self.tell(layer, 1, 2, 3)
        first = (await layer.group_history(ROOM)).messages[0]["position"]
        await self.expect_kept(layer, [1, 2, 3], True, "after the start", after=start)
        await self.expect_kept(layer, [2, 3], True, "after the first message", after=first)
        await self.expect_kept(layer, [1, 2], True, "with limit=2", after=start, limit=2)
        newest = await self.newest(layer)
        await self.expect_kept(layer, [], True, "after the newest message", after=newest)

    @clause
    async def test_history_has_a_size(self) -> None:
        """At most `size` messages are kept. A hole is said: `complete` is False."""
        layer = await self.with_history()
        start = await self.newest(layer)
        await self.tell(layer, *range(SIZE + 1))
        kept = list(range(1, SIZE + 1))
        await self.expect_kept(layer, kept, True, "the messages that are kept")
        await self.expect_kept(layer, kept, False, "after a position before a hole", after=start)
        await self.expect_kept(
            layer, kept[:2], False, "with limit=2 before a hole", after=start, limit=2
        )

    @clause
    async def test_history_has_an_age(self) -> None:
        """A message is kept for `age` seconds. A hole is said: `complete` is False."""
        layer = await self.with_history(age=4 * self.expiry)
        start = await self.newest(layer)
        await self.tell(layer, 1)
        await self.pass_time(2.4 * self.expiry)
        await self.tell(layer, 2)
        await self.expect_kept(layer, [1, 2], True, "after a part of their time", after=start)
        await self.pass_time(1.6 * self.expiry + self.lateness)
        await self.expect_kept(layer, [2], True, "once the first is too old")
        await self.expect_kept(layer, [2], False, "after a position before a hole", after=start)

    @clause
    async def test_history_begins_anew_after_a_flush(self) -> None:
        """After `flush` the history is empty, and no earlier position belongs to it."""
        layer = await self.with_history("flush")
        start = await self.newest(layer)
        await self.tell(layer, 1)
        seen = await self.newest(layer)
        await layer.flush()
        await self.expect_kept(layer, [], True, "the history after a flush")
        await self.tell(layer, 2)
        for after in (start, seen):
            await self.expect_kept(layer, [2], False, f"after {after!r}, of before", after=after)

    @clause
    async def test_history_refuses_positions_that_are_not_its_own(self) -> None:
        """With a position of another group, or with any other text, it is not `complete`."""
        layer = await self.with_history()
        await self.tell(layer, 1, 2)
        position = parse_position(await self.newest(layer))
        if position is None:
            raise AssertionError("the newest position: expected tag.epoch.number, got another text")
        tag, epoch, _ = position
        other_epoch = ("0" if epoch[0] != "0" else "1") + epoch[1:]
        others = ["", "x", "2", f"{tag}.{epoch}", f"{tag}.{epoch}.x", f"{tag}.{epoch}.-1"]
        others += [f"{tag}.{epoch}.3", f"{tag}.{epoch}.{10**18}", f"{tag}.{other_epoch}.1"]
        others += [f"{tag}.{epoch}.1\n", f"{tag}.{epoch}.01", "é", "\ud800", "1" * 10_000]
        for after in [*others, await self.newest(layer, HALL)]:
            await self.expect_kept(layer, [1, 2], False, f"after {after!r:.50}", after=after)

    @clause
    async def test_history_adds_the_position_itself(self) -> None:
        """A message that has a key `position` is refused with a ValueError, and not kept."""
        layer = await self.with_history()
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        call = layer.group_send(ROOM, {"type": "a", "position": "x"})
        await self.expect_error(call, ValueError, "group_send() of a message with a position")
        await self.expect_nothing(layer, channel, "after a message that was refused")
        await self.expect_kept(layer, [], True, "the history after a message that was refused")

    @clause
    async def test_only_some_groups_have_history(self) -> None:
        """`history_limits` tells which. Messages to others have no position, and are not kept."""
        layer = await self.with_history()
        limits = layer.history_limits(ROOM)
        expect(limits and tuple(limits), tuple(HistoryLimits(SIZE, 600)), "history_limits(ROOM)")
        expect(layer.history_limits(OTHER), None, "history_limits() of another group")
        channel = await layer.new_channel()
        await layer.group_add(OTHER, channel)
        message = {"type": "a", "position": "of the program"}
        await layer.group_send(OTHER, message)
        await self.expect_next(layer, channel, message, "what a member of another group got")
        await layer.group_send(OTHER, {"type": "b"})
        await self.expect_next(layer, channel, {"type": "b"}, "what a member of another group got")
        call = layer.group_history(OTHER)
        await self.expect_error(call, ValueError, "group_history() of another group")

    @clause
    async def test_history_refuses_a_negative_limit(self) -> None:
        """`group_history` raises a ValueError if `limit` is negative."""
        layer = await self.with_history()
        call = layer.group_history(ROOM, limit=-1)
        await self.expect_error(call, ValueError, "group_history(limit=-1)")

    @clause
    async def test_history_keeps_groups_apart(self) -> None:
        """Each group has a history of its own."""
        layer = await self.with_history()
        await self.tell(layer, 1)
        await self.tell(layer, 2, group=HALL)
        await self.tell(layer, 3)
        await self.expect_kept(layer, [1, 3], True, "the history of the group")

    @clause
    async def test_history_gives_copies(self) -> None:
        """If a reader or a member changes a message, the next reader does not see the change."""
        layer = await self.with_history()
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        message: dict[str, Any] = {"type": "a", "values": [1]}
        await layer.group_send(ROOM, message)
        message["values"].append(2)
        (await self.received(layer, channel))["values"].append(3)
        for _ in range(2):
            (kept,) = (await layer.group_history(ROOM)).messages
            expect(kept["values"], [1], "a message in the history")
            kept["values"].append(4)

    @clause
    async def test_history_has_what_a_full_member_lost(self) -> None:
        """What was dropped for a full member is after the last position that it got."""
        layer = await self.with_history(capacity=3)
        capacity = self.setting(layer, "capacity", 3)
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        await self.tell(layer, *range(capacity + 1))
        await self.until_waiting()
        got = [await self.received(layer, channel) for _ in range(capacity)]
        after = got[-1]["position"]
        await self.expect_kept(layer, [capacity], True, "after the last that arrived", after=after)

    @clause
    async def test_history_is_in_one_order(self) -> None:
        """Members get messages in the order of their positions, whoever sends them."""
        layer = await self.with_history(size=200)
        channels = [await layer.new_channel() for _ in range(2)]
        for channel in channels:
            await layer.group_add(ROOM, channel)

        async def send_some(sender: int) -> None:
            for number in range(10):
                await layer.group_send(ROOM, {"type": "a", "sender": sender, "number": number})

        await asyncio.gather(
            *(send_some(sender) for sender in range(4)),
            *(self.elsewhere(send_some, sender) for sender in range(4, 6)),
        )
        kept = (await layer.group_history(ROOM)).messages
        expect(len(kept), 60, "the number of messages that are kept")
        for channel in channels:
            got = [await self.received(layer, channel) for _ in kept]
            expect(got, kept, "what a member got")

    @clause
    async def test_instances_share_history(self) -> None:
        """What one instance has sent, another one finds, under the same positions."""
        self.require_shared()
        one, other = await self.with_history(), await self.with_history()
        await self.tell(one, 1)
        seen = await self.newest(other)
        await self.tell(other, 2)
        await self.tell(one, 3)
        await self.expect_kept(other, [1, 2, 3], True, "the history of both")
        await self.expect_kept(one, [2, 3], True, "after a position of both", after=seen)

    # Steps of these clauses

    async def with_history(
        self, *extensions: str, size: int = SIZE, age: float = 600, **options: Any
    ) -> Layer:
        """Make a layer that keeps the messages of the groups `contract.*`."""
        history = {"contract.*": {"size": size, "age": age}}
        return await self.layer("groups", "history", *extensions, history=history, **options)

    async def tell(self, layer: Layer, *numbers: int, group: str = ROOM) -> None:
        """Send a message to a group for each number."""
        for number in numbers:
            await layer.group_send(group, {"type": "a", "number": number})

    async def newest(self, layer: Layer, group: str = ROOM) -> str:
        """Return the newest position of a group."""
        position: str = (await layer.group_history(group, limit=0)).position
        return position

    async def expect_kept(
        self, layer: Layer, numbers: list[int], complete: bool, what: str, **asked: Any
    ) -> None:
        """Fail unless the history has the messages with these numbers."""
        __tracebackhide__ = True
        answer = await layer.group_history(ROOM, **asked)
        expect([one.get("number") for one in answer.messages], numbers, what)
        expect(answer.complete, complete, f"{what}: `complete`")
