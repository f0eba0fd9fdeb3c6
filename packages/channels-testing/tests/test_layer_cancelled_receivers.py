import asyncio
from typing import Any

import pytest

from simple_layer import SimpleContract, SimpleLayer, breach


class Greedy(SimpleLayer):
    """Loses the next message with a receiver that is cancelled."""

    async def receive(self, channel: str) -> Any:
        try:
            return await super().receive(channel)
        except asyncio.CancelledError:
            self.store.groups["lost"][channel] = 0
            raise

    def put(self, channel: str, message: Any) -> None:
        if self.store.groups["lost"].pop(channel, None) is None:
            super().put(channel, message)


class Endless(SimpleLayer):
    """Goes on to receive when it is cancelled."""

    async def receive(self, channel: str) -> Any:
        while True:
            try:
                return await super().receive(channel)
            except asyncio.CancelledError:
                continue


class Leaving(SimpleLayer):
    """Ends the memberships of a channel whose receiver is cancelled."""

    async def receive(self, channel: str) -> Any:
        try:
            return await super().receive(channel)
        except asyncio.CancelledError:
            for members in self.store.groups.values():
                members.pop(channel, None)
            raise


class WakesOne(SimpleLayer):
    """Wakes who has waited longest, there or not."""

    def wake(self, channel: str) -> None:
        if waiting := self.store.waiting[channel]:
            future = waiting.pop(0)
            if future.set_running_or_notify_cancel():
                future.set_result(None)


class Stubborn(SimpleLayer):
    """Cannot be cancelled."""

    async def receive(self, channel: str) -> Any:
        try:
            return await super().receive(channel)
        except asyncio.CancelledError:
            return {"type": "cancelled"}


class HandsOver(SimpleLayer):
    """Takes a message in a step of its own, and loses it if it is cancelled after that."""

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        await asyncio.sleep(0)
        return message


def test_a_receive_that_goes_on_is_told() -> None:
    class Contract(SimpleContract):
        layer_class = Endless
        timeout = _patience = 0.01

    with pytest.raises(AssertionError, match=r"expected a CancelledError, got no end within"):
        Contract().test_a_cancelled_receive_takes_nothing()


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_cancelled_receive_takes_nothing", Greedy, "got none within 0.01 s"),
        ("test_a_cancelled_receive_takes_nothing", Stubborn, "expected a CancelledError, got {"),
        ("test_a_cancelled_receive_on_a_name_takes_nothing", Greedy, "got none within 0.01 s"),
        ("test_a_cancelled_receive_leaves_its_groups", Leaving, "got none within 0.01 s"),
        ("test_a_cancelled_receive_leaves_the_others", WakesOne, "got none within 0.01 s"),
        ("test_a_message_survives_its_receiver", HandsOver, "a receive was cancelled: expected"),
        ("test_a_message_survives_its_receiver", Stubborn, "what was received: expected {'type"),
        ("test_a_message_on_a_name_survives_its_receiver", HandsOver, "got {'type': 'contract.mar"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    hangs = "within" in said or said == "TimeoutError"
    assert said in breach(broken, clause, hangs=hangs)
