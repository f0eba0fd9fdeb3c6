from collections.abc import Collection
from typing import Any

import pytest

from channels_core.layer_extensions import History, HistoryLimits, format_position, group_tag
from extended_layer import ExtendedLayer, Past, extended_breach


class Backwards(ExtendedLayer):
    """Gives the newest message first."""

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        answer = await super().group_history(group, after, limit)
        return answer._replace(messages=answer.messages[::-1])


class Unsure(ExtendedLayer):
    """Never knows whether something is missing."""

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        return (await super().group_history(group, after, limit))._replace(complete=False)


class Sure(ExtendedLayer):
    """Says that nothing is missing, and gives what it has."""

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        return (await super().group_history(group, after, limit))._replace(complete=True)


class Behind(ExtendedLayer):
    """Gives the position before the newest one."""

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        answer = await super().group_history(group, after, limit)
        return answer._replace(position=answer.position[:-1] + "0")


class Bare(ExtendedLayer):
    """Keeps no positions."""

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        answer = await super().group_history(group, after, limit)
        messages = [{**message, "position": "1"} for message in answer.messages]
        return answer._replace(messages=messages)


class Skipping(ExtendedLayer):
    """Counts by twos."""

    def keep(self, group: str, limits: HistoryLimits, message: Any) -> Any:
        self.past(group, limits).newest += 1
        return super().keep(group, limits, message)


class Untagged(ExtendedLayer):
    """Gives all groups the same tag."""

    def position(self, group: str, past: Past) -> str:
        return format_position("0" * 8, past.epoch, past.newest)


class Attended(ExtendedLayer):
    """Keeps what somebody gets."""

    async def group_send(self, group: str, message: Any, exclude: Collection[str] = ()) -> None:
        if self.members(group):
            await super().group_send(group, message, exclude)


class Oldest(ExtendedLayer):
    """Gives the oldest messages."""

    def limited(self, messages: list[Any], limit: int | None, *, newest: bool) -> list[Any]:
        return messages[:limit]


class Newest(ExtendedLayer):
    """Gives the newest messages."""

    def limited(self, messages: list[Any], limit: int | None, *, newest: bool) -> list[Any]:
        return super().limited(messages, limit, newest=True)


class Inclusive(ExtendedLayer):
    """Gives the message at the position too."""

    def seen(self, group: str, past: Past, after: Any) -> int | None:
        number = super().seen(group, past, after)
        return number - 1 if number else number


class Hoarding(ExtendedLayer):
    """Keeps everything."""

    def trim(self, past: Past, limits: HistoryLimits) -> Past:
        return past


class Ageless(ExtendedLayer):
    """Keeps messages of any age."""

    def trim(self, past: Past, limits: HistoryLimits) -> Past:
        past.kept = past.kept[-limits.size :]
        return past


class Hasty(ExtendedLayer):
    """Drops everything as soon as something is too old."""

    def trim(self, past: Past, limits: HistoryLimits) -> Past:
        if past.kept and past.kept[0][0] <= self.clock():
            past.kept.clear()
        return past


class Hiding(ExtendedLayer):
    """Does not see holes."""

    def seen(self, group: str, past: Past, after: Any) -> int | None:
        found = super().seen(group, past, after)
        return 0 if found is None and after.count(".") == 2 else found


class Trusting(ExtendedLayer):
    """Believes in every number."""

    def seen(self, group: str, past: Past, after: Any) -> int | None:
        number = after.rpartition(".")[2]
        return int(number) if number.isdecimal() else None


class Failing(ExtendedLayer):
    """Cannot read what is no position."""

    def seen(self, group: str, past: Past, after: Any) -> int | None:
        int(after.rpartition(".")[2])
        return super().seen(group, past, after)


class Continuing(ExtendedLayer):
    """Goes on with its numbers after a flush."""

    async def flush(self) -> None:
        histories = dict(self.store.histories)
        await super().flush()
        for past in histories.values():
            past.kept.clear()
            past.newest = 0
        self.store.histories.update(histories)


class Lasting(ExtendedLayer):
    """Does not flush histories."""

    async def flush(self) -> None:
        histories = dict(self.store.histories)
        await super().flush()
        self.store.histories.update(histories)


class Overwriting(ExtendedLayer):
    """Overwrites a position of the program."""

    def keep(self, group: str, limits: HistoryLimits, message: Any) -> Any:
        return super().keep(group, limits, {k: v for k, v in message.items() if k != "position"})


class LateRefusal(ExtendedLayer):
    """Refuses a message that it has kept."""

    def keep(self, group: str, limits: HistoryLimits, message: Any) -> Any:
        plain = {key: value for key, value in message.items() if key != "position"}
        kept = super().keep(group, limits, plain)
        if plain != message:
            raise ValueError("too late")
        return kept


class Everywhere(ExtendedLayer):
    """Keeps the messages of all groups."""

    def history_limits(self, group: str) -> HistoryLimits | None:
        return self.history[0][1] if self.history else None


class Quiet(ExtendedLayer):
    """Answers whatever it is asked."""

    async def group_history(self, group: str, after: Any = None, limit: Any = None) -> History:
        if self.history_limits(group) is None:
            return History([], "", True)
        return await super().group_history(group, after, abs(limit) if limit else limit)


class Mixed(ExtendedLayer):
    """Has one history."""

    def past(self, group: str, limits: HistoryLimits) -> Past:
        return super().past("contract.all", limits)


class Shared(ExtendedLayer):
    """Gives everybody the same message."""

    def unpack(self, message: Any) -> Any:
        return message


class Stopping(ExtendedLayer):
    """Keeps only what somebody has room for."""

    def keep(self, group: str, limits: HistoryLimits, message: Any) -> Any:
        kept = super().keep(group, limits, message)
        if any(len(self.queue(one)) >= self.get_capacity(one) for one in self.members(group)):
            self.past(group, limits).kept.pop()
        return kept


class Swapping(ExtendedLayer):
    """Lets a message overtake."""

    def put(self, channel: str, message: Any) -> None:
        super().put(channel, message)
        self.queue(channel)[-2:] = self.queue(channel)[-2:][::-1]


class Private(ExtendedLayer):
    """Keeps histories to itself."""

    def past(self, group: str, limits: HistoryLimits) -> Past:
        return super().past(f"{group}.{id(self)}", limits)


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_history_is_what_the_members_got", Backwards, "the history of the group: at [0]"),
        ("test_history_is_what_the_members_got", Unsure, "expected True, got False"),
        ("test_history_is_what_the_members_got", Behind, "the newest position: expected"),
        ("test_history_is_what_the_members_got", Bare, "the history of the group: at [0]"),
        ("test_positions_are_consecutive", Skipping, "the positions: at [1] expected ("),
        ("test_positions_are_consecutive", Untagged, "the positions: at [0] expected ("),
        ("test_positions_are_consecutive", Bare, "the positions: at [1] expected ("),
        ("test_history_needs_no_member", Attended, "expected [1], got []"),
        ("test_history_gives_the_newest", Oldest, "with limit=2: at [0] expected 2, got 1"),
        ("test_history_after_a_position", Newest, "with limit=2: at [0] expected 1, got 2"),
        ("test_history_after_a_position", Inclusive, "after the first message: expected [2, 3]"),
        ("test_history_after_a_position", Unsure, "`complete`: expected True, got False"),
        ("test_history_has_a_size", Hoarding, "expected [1, 2, 3, 4, 5], got [0, 1, 2, 3, 4, 5]"),
        ("test_history_has_a_size", Hiding, "`complete`: expected False, got True"),
        ("test_history_has_an_age", Ageless, "once the first is too old: expected [2], got [1, 2]"),
        ("test_history_has_an_age", Hasty, "once the first is too old: expected [2], got []"),
        ("test_history_has_an_age", Hiding, "`complete`: expected False, got True"),
        ("test_history_begins_anew_after_a_flush", Lasting, "after a flush: expected [], got [1]"),
        ("test_history_begins_anew_after_a_flush", Continuing, "`complete`: expected False, got"),
        (
            "test_history_refuses_positions_that_are_not_its_own",
            Trusting,
            "expected [1, 2], got []",
        ),
        ("test_history_refuses_positions_that_are_not_its_own", Sure, "after '': `complete`: exp"),
        ("test_history_refuses_positions_that_are_not_its_own", Failing, "ValueError: invalid lit"),
        ("test_history_adds_the_position_itself", Overwriting, "expected a ValueError, got no err"),
        ("test_history_adds_the_position_itself", LateRefusal, "was refused: expected [], got [N"),
        ("test_only_some_groups_have_history", Everywhere, "expected None, got HistoryLimits("),
        ("test_only_some_groups_have_history", Quiet, "expected a ValueError, got no error"),
        ("test_history_refuses_a_negative_limit", Quiet, "expected a ValueError, got no error"),
        ("test_history_keeps_groups_apart", Mixed, "expected [1, 3], got [1, 2, 3]"),
        ("test_history_gives_copies", Shared, "expected [1], got [1, 3]"),
        ("test_history_has_what_a_full_member_lost", Stopping, "expected [3], got []"),
        ("test_history_is_in_one_order", Swapping, "what a member got: at [0]"),
        ("test_instances_share_history", Private, "the history of both: expected [1, 2, 3], got"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[ExtendedLayer], said: str) -> None:
    assert said in extended_breach(broken, clause)


def test_a_position_that_is_none_is_reported() -> None:
    class Nameless(ExtendedLayer):
        def position(self, group: str, past: Past) -> str:
            return "x"

    said = extended_breach(Nameless, "test_history_refuses_positions_that_are_not_its_own")
    assert "expected tag.epoch.number, got another text" in said
    assert group_tag("contract.room") != group_tag("contract.hall")
