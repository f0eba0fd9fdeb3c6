import asyncio
import threading
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from simple_layer import Queue, SimpleContract, SimpleLayer, breach


class LastIn(SimpleLayer):
    """Is a stack."""

    def take(self, channel: str) -> Any:
        return self.queue(channel).pop()[1]


class Again(SimpleLayer):
    """Gives the last message again."""

    def take_now(self, channel: str) -> Any:
        return super().take_now(channel) or {"type": "again"}


class Silent(SimpleLayer):
    """Wakes nobody."""

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        pass


class WakesOnce(SimpleLayer):
    """Wakes for the first message only."""

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        if not hasattr(self, "rung"):
            self.rung = True
            super().ring(loop, wake)


class WakesAfterALook(SimpleLayer):
    """Does not wake who has not looked yet."""

    looked = False

    def take_now(self, channel: str) -> Any:
        self.looked = True
        return super().take_now(channel)

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        if self.looked:
            super().ring(loop, wake)


class WakesWhereItIsSent(SimpleLayer):
    """Wakes in whatever thread sends."""

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        wake()


class WakesInAThread(SimpleLayer):
    """Wakes where no event loop runs."""

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        thread = threading.Thread(target=wake)
        thread.start()
        thread.join()


class StartsEmpty(SimpleLayer):
    """Drops what waits when somebody begins to listen."""

    def listen(self, channel: str, wake: Callable[[], object]) -> Callable[[], Any]:
        self.store.queues.pop(channel, None)
        return super().listen(channel, wake)


class SharesOne(SimpleLayer):
    """Wakes the first member of a group that listens."""

    async def group_send(self, group: str, message: Any) -> None:
        self.put(self.members(group)[0], self.pack(message))


class Fetches(SimpleLayer):
    """Keeps what is listened for where the capacity does not count."""

    def listen(self, channel: str, wake: Callable[[], object]) -> Callable[[], Any]:
        self.capacity = 10**6
        self.asked = 3
        return super().listen(channel, wake)

    def __getattribute__(self, name: str) -> Any:
        asked = super().__getattribute__("__dict__").get("asked")
        return asked if name == "capacity" and asked else super().__getattribute__(name)

    def get_capacity(self, channel: str) -> int:
        return 10**6


class KeepsOld(SimpleLayer):
    """Lets nothing expire."""

    def queue(self, channel: str) -> Queue:
        return self.store.queues[channel]


class ForgetsNothing(SimpleLayer):
    """Goes on as if nothing was forgotten."""

    async def forget_channel(self, channel: str) -> None:
        pass


class ForgetsMessages(SimpleLayer):
    """Goes on waking when the channel is forgotten."""

    async def forget_channel(self, channel: str) -> None:
        self.store.queues.pop(channel, None)


class ToBoth(SimpleLayer):
    """Gives the listener what a receiver got as well."""

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        self.store.queues[channel].append((self.clock(), message))
        return message


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_a_listener_takes_messages_in_order", LastIn, "in which they were taken: "),
        ("test_a_listener_takes_messages_in_order", Again, "after the last message: expected None"),
        ("test_a_listener_is_woken", Silent, "expected a call of wake() for a message, got none"),
        (
            "test_a_listener_is_woken",
            WakesOnce,
            "expected a call of wake() for a message, got none",
        ),
        (
            "test_a_listener_is_woken_before_its_first_look",
            WakesAfterALook,
            "the first message, go",
        ),
        (
            "test_a_listener_finds_what_waits",
            StartsEmpty,
            "expected a call of wake() for a message",
        ),
        ("test_a_group_wakes_its_listeners", SharesOne, "expected a call of wake() for a message"),
        ("test_what_a_listener_leaves_counts", Fetches, "expected ChannelFull once it is full"),
        ("test_what_a_listener_leaves_expires", KeepsOld, "have expired: expected None"),
        ("test_a_forgotten_channel_has_no_listener", ForgetsNothing, "forgotten channel: expected"),
        (
            "test_a_forgotten_channel_has_no_listener",
            ForgetsMessages,
            "wake() for a forgotten chann",
        ),
        ("test_a_sender_in_a_thread_wakes_a_listener", WakesWhereItIsSent, "got it elsewhere"),
        ("test_a_sender_in_a_thread_wakes_a_listener", WakesInAThread, "got it elsewhere"),
        (
            "test_a_receive_beside_a_listener_gets_a_message",
            ToBoth,
            "after the last message: expected",
        ),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="wake() for" in said)


def test_a_layer_without_it_is_skipped() -> None:
    class Contract(SimpleContract):
        layer_class = type("Plain", (SimpleLayer,), {"listen": None})

    with pytest.raises(unittest.SkipTest, match=r"the layer has no method listen\(\)"):
        Contract().test_a_listener_is_woken()
