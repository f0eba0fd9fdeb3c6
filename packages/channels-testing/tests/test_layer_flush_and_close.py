import asyncio
import unittest
from typing import Any

import pytest

from simple_layer import SimpleContract, SimpleLayer, breach


class KeepsMessages(SimpleLayer):
    """Drops only the groups."""

    async def flush(self) -> None:
        self.store.groups.clear()


class KeepsSpecific(SimpleLayer):
    """Drops only what waits in named channels."""

    async def flush(self) -> None:
        for channel in [name for name in self.store.queues if "!" not in name]:
            del self.store.queues[channel]
        self.store.groups.clear()


class KeepsGroups(SimpleLayer):
    """Drops only the messages."""

    async def flush(self) -> None:
        self.store.queues.clear()


class Finished(SimpleLayer):
    """Is of no use after a flush."""

    async def flush(self) -> None:
        self.get_capacity = lambda channel: 0  # type: ignore[method-assign] # it is broken so


class ForgetsNothing(SimpleLayer):
    """Goes on as if nothing was forgotten."""

    async def forget_channel(self, channel: str) -> None:
        pass


class ForgetsAll(SimpleLayer):
    """Forgets more than it was told."""

    async def forget_channel(self, channel: str) -> None:
        await self.flush()


class ClosesOnce(SimpleLayer):
    """Can be closed once."""

    async def close(self) -> None:
        if hasattr(self, "closed"):
            raise RuntimeError("closed already")
        self.closed = True


class Busy(SimpleLayer):
    """Leaves a task."""

    async def send(self, channel: str, message: Any) -> None:
        self.task = asyncio.create_task(asyncio.Event().wait())
        await super().send(channel, message)


@pytest.mark.parametrize(
    ("clause", "broken", "said"),
    [
        ("test_flush_drops_messages", KeepsMessages, "after the flush: at ['type'] expected 'con"),
        ("test_flush_drops_messages", KeepsSpecific, "after the flush: at ['type'] expected 'con"),
        ("test_flush_drops_what_was_fetched", KeepsSpecific, "expected 'contract.mark', got 'old'"),
        ("test_flush_drops_groups", KeepsGroups, "expected 'contract.mark', got 'g'"),
        ("test_flush_leaves_a_layer_in_use", Finished, "ChannelFull: specific."),
        (
            "test_a_forgotten_channel_is_empty",
            ForgetsNothing,
            "in a forgotten channel: at ['type']",
        ),
        ("test_a_forgotten_channel_is_empty", ForgetsAll, "got none within 0.01 s"),
        ("test_a_forgotten_channel_is_in_no_group", ForgetsNothing, "in a forgotten channel: at"),
        ("test_a_forgotten_channel_is_in_no_group", ForgetsAll, "got none within 0.01 s"),
        ("test_nothing_runs_on", Busy, "expected none, got <coroutine object Event.wait"),
    ],
)
def test_a_breach_is_reported(clause: str, broken: type[SimpleLayer], said: str) -> None:
    assert said in breach(broken, clause, hangs="within" in said)


def test_a_layer_that_cannot_be_closed_twice() -> None:
    # The end of each clause closes the layer as well.
    class Contract(SimpleContract):
        layer_class = ClosesOnce

        async def close_layer(self, layer: Any) -> None:
            pass

    with pytest.raises(RuntimeError, match="closed already"):
        Contract().test_a_layer_may_be_closed_twice()


class Plain(SimpleLayer):
    """Neither has groups nor can be flushed."""

    extensions = ()  # type: ignore[assignment] # any collection will do
    group_add = None  # type: ignore[assignment] # as if it had none


def test_a_layer_without_groups_leaves_nothing_running_either() -> None:
    type("Contract", (SimpleContract,), {"layer_class": Plain})().test_nothing_runs_on()


class Bare:
    """Has nothing that a layer need not have."""

    extensions = ("groups", "flush")

    def __init__(self, store: object, clock: object) -> None:
        pass


@pytest.mark.parametrize(
    ("clause", "name"),
    [
        ("test_a_forgotten_channel_is_empty", "forget_channel"),
        ("test_a_forgotten_channel_is_in_no_group", "forget_channel"),
        ("test_a_layer_may_be_closed_twice", "close"),
    ],
)
def test_clauses_on_missing_methods_are_skipped(clause: str, name: str) -> None:
    class Contract(SimpleContract):
        layer_class = Bare  # type: ignore[assignment] # it lacks everything

        async def close_layer(self, layer: Any) -> None:
            pass

    with pytest.raises(unittest.SkipTest, match=rf"the layer has no method {name}\(\)"):
        getattr(Contract(), clause)()


class Away(SimpleLayer):
    """Cannot be reached."""

    async def ping(self) -> None:
        raise OSError("no answer")


class Homely(SimpleLayer):
    """Answers in the event loop in which it was first used."""

    loop: Any = None

    async def ping(self) -> None:
        self.loop = self.loop or asyncio.get_running_loop()
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("another event loop")


def test_a_layer_answers_a_ping() -> None:
    assert "OSError: no answer" in breach(Away, "test_a_layer_answers_a_ping")
    assert "another event loop" in breach(Homely, "test_a_layer_answers_a_ping")
    with pytest.raises(unittest.SkipTest, match=r"the layer has no method ping\(\)"):
        SimpleContract().test_a_layer_answers_a_ping()
