import asyncio
from typing import Any

import pytest

from simple_layer import Queue, SimpleLayer, breach


class Unqueued(SimpleLayer):
    """Drops what nobody waits for."""

    def put(self, channel: str, message: Any) -> None:
        if self.store.waiting[channel]:
            super().put(channel, message)


class Impatient(SimpleLayer):
    """Returns at once, with nothing."""

    async def receive(self, channel: str) -> Any:
        return self.take(channel) if self.queue(channel) else None


class Hurried(SimpleLayer):
    """Waits for a short while."""

    async def receive(self, channel: str) -> Any:
        async with asyncio.timeout(0):
            return await super().receive(channel)


class Stack(SimpleLayer):
    """Gives the last message first."""

    def take(self, channel: str) -> Any:
        return self.queue(channel).pop()[1]


class Sticky(SimpleLayer):
    """Gives the first message again and again."""

    def take(self, channel: str) -> Any:
        return self.queue(channel)[0][1]


class OneQueue(SimpleLayer):
    """Has one queue for all channels."""

    def queue(self, channel: str) -> Queue:
        return super().queue("all")


class Forgetful(SimpleLayer):
    """Never wakes who waits."""

    def wake(self, channel: str) -> None:
        pass


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_message_waits_until_it_is_received", Unqueued, "got none within 0.01 s"),
        (
            "test_a_receive_waits_until_a_message_is_sent",
            Impatient,
            "receive() on an empty channel has ended: expected False, got True",
        ),
        ("test_a_receive_waits_as_long_as_it_takes", Hurried, "TimeoutError: "),
        (
            "test_a_named_channel_needs_no_receiver",
            Unqueued,
            "receive('contract.jobs'): expected a message, got none within 0.01 s",
        ),
        ("test_a_named_channel_reaches_who_waits", Forgetful, "got none within 0.01 s"),
        ("test_messages_arrive_in_order", Stack, "at [0] expected 0, got 19"),
        (
            "test_a_message_arrives_once",
            Sticky,
            "after the only message: at ['type'] expected 'contract.mark', got 'a'",
        ),
        (
            "test_receivers_share_a_channel",
            Sticky,
            "what three receivers got together: at [1] expected 1, got 0",
        ),
        ("test_channels_do_not_mix", OneQueue, ": at ['to'] expected 'specific."),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)
