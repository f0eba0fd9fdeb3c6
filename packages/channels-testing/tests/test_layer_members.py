from typing import Any

import pytest

from extended_layer import ExtendedLayer, extended_breach


class Silent(ExtendedLayer):
    """Tells nobody."""

    def notify(self, kind: str, group: str, data: Any) -> None:
        pass


class Shy(ExtendedLayer):
    """Does not tell the newcomer."""

    def notify(self, kind: str, group: str, data: Any) -> None:
        for channel in self.members(group)[:-1] or self.members(group):
            self.put(channel, {"type": kind, "group": group, "member": data})


class Loud(ExtendedLayer):
    """Tells of each connection."""

    def tell(self, group: str, channel: str, data: Any) -> None:
        new = data["id"] not in self.store.people[group]
        super().tell(group, channel, data)
        if not new:
            self.notify("group.joined", group, data)


class Sorted(ExtendedLayer):
    """Lists members by their last joining."""

    def tell(self, group: str, channel: str, data: Any) -> None:
        super().tell(group, channel, data)
        people = self.store.people[group]
        people[data["id"]] = people.pop(data["id"])


class Backwards(ExtendedLayer):
    """Lists the last one first."""

    async def group_members(self, group: str) -> list[Any]:
        return (await super().group_members(group))[::-1]


class Textual(ExtendedLayer):
    """Takes each id for a text."""

    def checked(self, member: Any) -> Any:
        data = super().checked(member)
        return {**data, "id": str(data["id"])}


class First(ExtendedLayer):
    """Shows the data of the first connection."""

    def tell(self, group: str, channel: str, data: Any) -> None:
        for known in self.store.people[group].get(data["id"], {}).values():
            data = known
        super().tell(group, channel, data)


class Latest(ExtendedLayer):
    """Shows the data that were told last."""

    def tell(self, group: str, channel: str, data: Any) -> None:
        self.store.people[group].get(data["id"], {}).pop(channel, None)
        super().tell(group, channel, data)


class Renewing(ExtendedLayer):
    """Ends the member at a renewal."""

    async def group_add(self, group: str, channel: str, member: Any = None) -> None:
        self.ended(group, channel)
        await super().group_add(group, channel, member)


class Hasty(ExtendedLayer):
    """Does not linger."""

    def leave(self, group: str, name: Any, data: Any) -> None:
        self.store.leaving[group, name] = (self.clock(), data)


class Clinging(ExtendedLayer):
    """Never lets a member leave."""

    def leave(self, group: str, name: Any, data: Any) -> None:
        self.store.leaving[group, name] = (self.clock() + 10**9, data)


class Vanishing(ExtendedLayer):
    """Does not list who lingers."""

    async def group_members(self, group: str) -> list[Any]:
        return [one for one in await super().group_members(group) if one["connections"]]


class Impatient(ExtendedLayer):
    """Lets a member leave although it came back."""

    def tell(self, group: str, channel: str, data: Any) -> None:
        leaving = self.store.leaving.get((group, data["id"]))
        super().tell(group, channel, data)
        if leaving:
            self.notify("group.left", group, data)


class Remembering(ExtendedLayer):
    """Keeps the members of forgotten channels."""

    async def forget_channel(self, channel: str) -> None:
        people = {name: dict(each) for name, each in self.store.people["contract.room"].items()}
        await super().forget_channel(channel)
        self.store.people["contract.room"] = people
        self.store.leaving.clear()
        self.forgotten = channel

    def settle(self) -> None:
        pass


class Lasting(ExtendedLayer):
    """Never looks for memberships that have expired."""

    def settle(self) -> None:
        pass


class Unflushed(ExtendedLayer):
    """Flushes channels only."""

    async def flush(self) -> None:
        people, leaving = dict(self.store.people), dict(self.store.leaving)
        await super().flush()
        self.store.people.update(people)
        self.store.leaving.update(leaving)


class Gossiping(ExtendedLayer):
    """Lets members of before a flush leave after it."""

    async def flush(self) -> None:
        leaving = dict(self.store.leaving)
        await super().flush()
        self.store.leaving.update(leaving)
        self.store.people["contract.room"].update({name: {} for _, name in leaving})

    async def group_members(self, group: str) -> list[Any]:
        return [one for one in await super().group_members(group) if one["connections"]]


class Mixed(ExtendedLayer):
    """Has members without groups."""

    def tell(self, group: str, channel: str, data: Any) -> None:
        super().tell("contract.room", channel, data)


class Lax(ExtendedLayer):
    """Takes anything for a member."""

    def checked(self, member: Any) -> Any:
        return {"id": 1}


class LateRefusal(ExtendedLayer):
    """Joins before it looks."""

    async def group_add(self, group: str, channel: str, member: Any = None) -> None:
        await super().group_add(group, channel)
        await super().group_add(group, channel, member)


class Shared(ExtendedLayer):
    """Copies nothing."""

    def unpack(self, message: Any) -> Any:
        return message


class Keeping(ExtendedLayer):
    """Keeps its notices."""

    def notify(self, kind: str, group: str, data: Any) -> None:
        notice = {"type": kind, "group": group, "member": data}
        if limits := self.history_limits(group):
            self.keep(group, limits, notice)
        super().notify(kind, group, data)


class Positioned(ExtendedLayer):
    """Gives its notices a position."""

    def notify(self, kind: str, group: str, data: Any) -> None:
        for channel in self.members(group):
            notice = {"type": kind, "group": group, "member": data, "position": "1"}
            self.put(channel, notice)


class Private(ExtendedLayer):
    """Lists its own members."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.own: set[str] = set()

    async def new_channel(self, prefix: str = "specific.") -> str:
        self.own.add(channel := await super().new_channel(prefix))
        return channel

    async def group_members(self, group: str) -> list[Any]:
        for listed in (members := await super().group_members(group)):
            connections = self.store.people[group][listed["id"]]
            listed["connections"] = sum(one in self.own for one in connections)
        return members


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_first_connection_is_told", Silent, "got none within 0.01 s"),
        ("test_a_first_connection_is_told", Shy, "got none within 0.01 s"),
        ("test_members_are_listed", Backwards, "of two members and a channel without one: at [0]"),
        ("test_an_id_is_text_or_a_number", Textual, "of two ids that look alike: expected [{"),
        ("test_a_second_connection_is_not_told", Loud, "expected {'type': 'contract.mark'}, got {"),
        ("test_a_second_connection_is_not_told", Sorted, "of an id with two connections: at [0]"),
        ("test_a_second_connection_is_not_told", First, "of an id with two connections: at [0]"),
        ("test_a_member_may_change_its_data", First, "group_members() after new data: at [0]"),
        ("test_a_member_may_change_its_data", Loud, "expected {'type': 'contract.mark'}, got {"),
        ("test_a_renewal_keeps_the_member", Renewing, "group_members() after a renewal: expected"),
        (
            "test_the_newest_connection_has_the_last_word",
            Latest,
            "group_members() after a renewal: at ",
        ),
        ("test_a_last_connection_is_told", Hasty, "group_members() just after it has left: expec"),
        ("test_a_last_connection_is_told", Vanishing, "group_members() just after it has left: e"),
        ("test_a_last_connection_is_told", Clinging, "group_members() some time after it has left"),
        ("test_who_comes_back_is_not_told", Hasty, "what the group was told"),
        ("test_who_comes_back_is_not_told", Impatient, "what the group was told"),
        (
            "test_a_forgotten_channel_ends_its_member",
            Remembering,
            "after its channel was forgotten",
        ),
        ("test_an_expired_membership_ends_its_member", Lasting, "after its membership has expired"),
        ("test_a_flush_ends_all_members", Unflushed, "group_members() after a flush: expected []"),
        ("test_a_flush_ends_all_members", Gossiping, "what the group was told"),
        ("test_members_of_groups_do_not_mix", Mixed, "the other group's members: expected [{"),
        ("test_what_is_no_member_is_refused", Lax, "expected a TypeError or ValueError, got no er"),
        ("test_what_is_no_member_is_refused", LateRefusal, "in a channel that was not to join: at"),
        ("test_data_of_a_member_are_copied", Shared, "the data of the member: expected ['a'], got"),
        ("test_notices_are_not_kept", Keeping, "the history of the group: expected [], got [{"),
        ("test_notices_are_not_kept", Positioned, "what the group was told"),
        ("test_instances_share_members", Private, "group_members() of both instances: at [0]"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[ExtendedLayer], said: str) -> None:
    assert said in extended_breach(broken, clause, hangs="within" in said)
