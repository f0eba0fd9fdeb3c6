import asyncio
from typing import Any

import pytest

from channels_core.exceptions import ChannelFull
from simple_layer import SimpleContract, SimpleLayer, breach


class Greedy(SimpleLayer):
    """A member that leaves takes a message of another one with it."""

    async def receive(self, channel: str) -> Any:
        try:
            return await super().receive(channel)
        except asyncio.CancelledError:
            self.rob()
            raise

    def rob(self) -> None:
        for queue in self.store.queues.values():
            if queue:
                queue.pop()
                break

    async def forget_channel(self, channel: str) -> None:
        await super().forget_channel(channel)
        self.rob()


class Double(SimpleLayer):
    """Sends twice what is sent when somebody leaves."""

    left = False

    async def group_discard(self, group: str, channel: str) -> None:
        await super().group_discard(group, channel)
        self.left = True

    async def group_send(self, group: str, message: Any) -> None:
        await super().group_send(group, message)
        if self.left:
            self.left = False
            await super().group_send(group, message)


class Rude(SimpleLayer):
    """Fails when it forgets a channel."""

    async def forget_channel(self, channel: str) -> None:
        raise ChannelFull("forget_channel")


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_who_stays_receives_everything", Greedy, "and none within 0.01 s"),
        ("test_who_stays_receives_everything", Double, "what the member got: "),
        ("test_who_stays_receives_everything", Rude, "ChannelFull: forget_channel"),
        ("test_who_stays_hears_everything", Greedy, "and none within 0.01 s"),
        ("test_who_stays_hears_everything", Double, "what the member got: "),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)


def test_it_is_repeated() -> None:
    class Repeating(SimpleContract):
        churns = 3
        rounds = 0

        async def churn(self, *args: Any) -> None:
            self.rounds += 1

    contract = Repeating()
    contract.test_who_stays_receives_everything()
    assert contract.rounds == 3


def test_a_layer_that_forgets_nothing() -> None:
    class Plain(SimpleLayer):
        forget_channel = None  # type: ignore[assignment] # a layer need not have the method

    class Contract(SimpleContract):
        layer_class = Plain

    Contract().test_who_stays_hears_everything()
