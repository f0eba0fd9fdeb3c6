from typing import Any

import pytest

from channels_core.exceptions import ChannelFull
from simple_layer import SimpleContract, SimpleLayer, breach


class Silent(SimpleLayer):
    """Sends to the members of no group."""

    def members(self, group: str) -> list[str]:
        return []


class Sleeping(SimpleLayer):
    """Does not wake a member."""

    async def group_send(self, group: str, message: Any) -> None:
        for channel in self.members(group):
            self.store.queues[channel].append((self.clock(), message))


class Small(SimpleLayer):
    """Serves few members."""

    def members(self, group: str) -> list[str]:
        return super().members(group)[:50]


class Loud(SimpleLayer):
    """Sends to all channels that were ever in a group or used."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        channel = await super().new_channel()
        self.store.groups["everybody"][channel] = self.clock()
        return channel

    def members(self, group: str) -> list[str]:
        return list(self.store.groups["everybody"])


class Double(SimpleLayer):
    """Counts how often a channel joined."""

    async def group_add(self, group: str, channel: str) -> None:
        while channel in self.store.groups[group]:
            group += ".twice"
        await super().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        while channel in self.store.groups.get(f"{group}.twice", ()):
            group += ".twice"
        await super().group_discard(group, channel)

    def members(self, group: str) -> list[str]:
        more = self.members(f"{group}.twice") if f"{group}.twice" in self.store.groups else []
        return super().members(group) + more


class Sticking(SimpleLayer):
    """Lets nobody leave."""

    async def group_discard(self, group: str, channel: str) -> None:
        self.check(channel)


class Scattering(SimpleLayer):
    """Empties a group that somebody leaves."""

    async def group_discard(self, group: str, channel: str) -> None:
        self.store.groups[group].clear()


class Fussy(SimpleLayer):
    """Raises where there is nobody."""

    def members(self, group: str) -> list[str]:
        if not (members := super().members(group)):
            raise LookupError("an empty group")
        return members


class Monogamous(SimpleLayer):
    """Lets a channel be in one group."""

    async def group_add(self, group: str, channel: str) -> None:
        for members in self.store.groups.values():
            members.pop(channel, None)
        await super().group_add(group, channel)


class Exclusive(SimpleLayer):
    """Lets only channels join that it made."""

    async def group_add(self, group: str, channel: str) -> None:
        if "!" not in channel:
            raise RuntimeError("not made here")
        await super().group_add(group, channel)


class Confused(SimpleLayer):
    """Takes a message to a channel for one to the group of that name."""

    def put(self, channel: str, message: Any) -> None:
        for member in self.members(channel):
            super().put(member, message)
        super().put(channel, message)


class Late(SimpleLayer):
    """Lets messages to groups overtake."""

    async def group_send(self, group: str, message: Any) -> None:
        for channel in self.members(group):
            if len(queue := self.queue(channel)) >= self.get_capacity(channel):
                raise ChannelFull(channel)
            queue.insert(0, (self.clock(), self.pack(message)))
            self.wake(channel)


class OneMessage(SimpleLayer):
    """Gives all members the same message."""

    def unpack(self, message: Any) -> Any:
        return message


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_group_reaches_every_member", Silent, "got none within 0.01 s"),
        ("test_a_group_reaches_who_waits", Sleeping, "got none within 0.01 s"),
        ("test_a_group_has_many_members", Small, "got none within 0.01 s"),
        ("test_only_members_get_a_message", Loud, "in a channel of no group: at ['type'] expected"),
        ("test_to_join_twice_is_to_join_once", Double, "expected 'contract.mark', got 'g'"),
        ("test_to_leave_once_is_enough", Double, "expected 'contract.mark', got 'g'"),
        ("test_who_left_gets_nothing", Sticking, "after it left the group: at ['type'] expected"),
        ("test_who_left_gets_nothing", Scattering, "got none within 0.01 s"),
        ("test_to_leave_a_group_of_others", Scattering, "got none within 0.01 s"),
        ("test_a_group_may_be_empty", Fussy, "LookupError: an empty group"),
        ("test_a_group_may_be_empty", Sticking, "expected 'contract.mark', got 'g'"),
        ("test_a_channel_has_many_groups", Monogamous, "got none within 0.01 s"),
        ("test_a_named_channel_may_be_a_member", Exclusive, "RuntimeError: not made here"),
        ("test_a_group_is_no_channel", Confused, "what the member got: at ['type'] expected 'g'"),
        ("test_groups_and_channels_keep_one_order", Late, "expected 0, got 29"),
        ("test_each_member_owns_its_message", OneMessage, "expected [1], got [1, 3]"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)


class Regrouping(SimpleLayer):
    """Delivers the messages to one group before all others that wait."""

    async def group_send(self, group: str, message: Any) -> None:
        for channel in self.members(group):
            queue = self.queue(channel)
            before = sum(self.unpack(each)["type"] == "g" for _, each in queue)
            queue.insert(before, (self.clock(), self.pack(message)))
            self.wake(channel)


class Unordered(SimpleContract):
    """The contract of a layer whose channels and groups have no order between them."""

    layer_class = Regrouping
    one_order = False


def test_a_layer_may_declare_an_order_of_each_group_alone() -> None:
    assert "at [" in breach(Regrouping, "test_groups_and_channels_keep_one_order")
    Unordered().test_groups_and_channels_keep_one_order()


def test_the_order_of_each_group_holds_in_any_case() -> None:
    clause = "test_groups_and_channels_keep_one_order"
    assert "expected 1, got 28" in breach(Late, clause, contract_class=Unordered)
