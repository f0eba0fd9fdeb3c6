from collections import deque
from typing import Any

import pytest

from channels_core.exceptions import ChannelFull
from simple_layer import SimpleContract, SimpleLayer, breach


class Endless(SimpleLayer):
    """Takes as many messages as there come."""

    def get_capacity(self, channel: str) -> int:
        return 1_000_000


class Narrow(SimpleLayer):
    """Holds one message less than it says."""

    def get_capacity(self, channel: str) -> int:
        return super().get_capacity(channel) - 1


class DropsOldest(SimpleLayer):
    """Makes room by dropping what has waited longest."""

    def put(self, channel: str, message: Any) -> None:
        queue = self.queue(channel)
        if len(queue) >= self.get_capacity(channel):
            queue.pop(0)
        super().put(channel, message)


class CountsSent(SimpleLayer):
    """Counts what was ever sent to a channel."""

    def put(self, channel: str, message: Any) -> None:
        count = self.store.groups["sent"]
        count[channel] = count.get(channel, 0) + 1
        if count[channel] > self.get_capacity(channel):
            raise ChannelFull(channel)
        super().put(channel, message)


class OneCapacity(SimpleLayer):
    """Has one capacity for all channels together."""

    def put(self, channel: str, message: Any) -> None:
        if sum(map(len, self.store.queues.values())) >= self.capacity:
            raise ChannelFull(channel)
        super().put(channel, message)


class Fetching(SimpleLayer):
    """Keeps the latest messages of a process only, which are fetched together."""

    def put(self, channel: str, message: Any) -> None:
        queue = self.queue(channel)
        if kept := deque(queue, maxlen=self.capacity - 1):
            queue[:] = kept
        super().put(channel, message)


class NoPatterns(SimpleLayer):
    """Has the same capacity for every channel."""

    def get_capacity(self, channel: str) -> int:
        return self.capacity


class AllPatterns(SimpleLayer):
    """Takes every channel for one that matches a pattern."""

    def get_capacity(self, channel: str) -> int:
        return min([self.capacity, *(capacity for _, capacity in self.channel_capacity)])


class Insistent(SimpleLayer):
    """Raises where a member of a group is full."""

    async def group_send(self, group: str, message: Any) -> None:
        for channel in self.members(group):
            self.put(channel, self.pack(message))


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_full_channel_refuses", Endless, "ChannelFull after 3 messages, got no error"),
        ("test_a_full_channel_refuses", Narrow, "room for 3 messages, got ChannelFull after 2"),
        ("test_a_full_channel_keeps_what_it_has", DropsOldest, "expected 0, got 1"),
        ("test_a_message_taken_makes_room", CountsSent, "expected room, got ChannelFull"),
        ("test_a_full_channel_leaves_others_free", OneCapacity, "expected room, got ChannelFull"),
        ("test_a_slow_receiver_loses_nothing_to_others", Fetching, "expected 0, got "),
        ("test_capacity_by_pattern", NoPatterns, "after 2 messages, got no error"),
        ("test_capacity_by_pattern", AllPatterns, "that matches no pattern: expected room, got"),
        ("test_capacity_by_compiled_pattern", NoPatterns, "after 2 messages, got no error"),
        ("test_capacity_by_compiled_pattern", AllPatterns, "does not match the pattern: expected"),
        ("test_a_group_passes_over_full_channels", Insistent, "ChannelFull: specific."),
        ("test_a_group_drops_what_is_too_much", Endless, "expected 'contract.mark', got 'g'"),
        ("test_a_group_drops_what_is_too_much", DropsOldest, "at ['number'] expected 0, got 1"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)


class Generous(SimpleLayer):
    """Has limits of its own, whatever it is asked for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.capacity, self.expiry, self.group_expiry = 7, 50, 70


class TestOwnLimits:
    @pytest.mark.parametrize(
        "clause",
        ["test_a_full_channel_refuses", "test_a_message_expires", "test_a_membership_expires"],
    )
    def test_the_layer_is_held_to_what_it_tells(self, clause: str) -> None:
        contract = type("Contract", (SimpleContract,), {"layer_class": Generous})()
        getattr(contract, clause)()
