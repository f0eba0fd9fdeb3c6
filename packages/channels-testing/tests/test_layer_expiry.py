import pytest

from simple_layer import Queue, SimpleLayer, breach


class Lasting(SimpleLayer):
    """Keeps messages for ever."""

    def queue(self, channel: str) -> Queue:
        return self.store.queues[channel]


class Hasty(SimpleLayer):
    """Drops messages at once."""

    def queue(self, channel: str) -> Queue:
        queue = super().queue(channel)
        queue[:] = [one for one in queue if one[0] == self.clock()]
        return queue


class Together(SimpleLayer):
    """Lets all messages of a channel live as long as its newest."""

    def queue(self, channel: str) -> Queue:
        queue = self.store.queues[channel]
        if queue and queue[-1][0] + self.expiry <= self.clock():
            queue.clear()
        return queue


class Loyal(SimpleLayer):
    """Keeps memberships for ever."""

    def members(self, group: str) -> list[str]:
        return list(self.store.groups[group])


class Once(SimpleLayer):
    """Lets a membership run from when it was first made."""

    async def group_add(self, group: str, channel: str) -> None:
        if channel not in self.store.groups[group]:
            await super().group_add(group, channel)


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_message_expires", Lasting, "expected 'contract.mark', got 'old'"),
        ("test_a_message_lasts_until_it_expires", Hasty, "got none within 0.01 s"),
        ("test_each_message_expires_by_itself", Together, "expected 'young', got 'old'"),
        ("test_an_expired_message_makes_room", Lasting, "expected room, got ChannelFull"),
        ("test_a_membership_expires", Loyal, "expected 'contract.mark', got 'g'"),
        ("test_a_membership_can_be_renewed", Once, "got none within 0.01 s"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)
