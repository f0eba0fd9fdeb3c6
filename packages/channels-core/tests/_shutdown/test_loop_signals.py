import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels_core._shutdown.loop_signals import LoopSignals
from fakes import until


def descriptor() -> int:
    """Return the descriptor that Python writes signals to."""
    found = signal.set_wakeup_fd(-1)
    if found != -1:
        signal.set_wakeup_fd(found)
    return found


@pytest.fixture
async def got() -> AsyncIterator[list[int]]:
    """Record SIGUSR1 and SIGUSR2 when the loop handles them."""
    got: list[int] = []
    loop = asyncio.get_running_loop()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, got.append, number)
    yield got
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.remove_signal_handler(number)


@pytest.fixture
def held() -> set[int]:
    return {signal.SIGUSR1}


@pytest.fixture
async def signals(held: set[int]) -> AsyncIterator[LoopSignals]:
    signals = LoopSignals(held.__contains__)
    yield signals
    signals.forget()


class TestHolding:
    async def test_a_held_signal_arrives_when_it_is_passed_on(
        self, got: list[int], signals: LoopSignals
    ) -> None:
        signals.take()
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        await until(lambda: bool(got))
        assert got == [signal.SIGUSR2]
        signals.pass_on(signal.SIGUSR1)
        await until(lambda: len(got) == 2)
        assert got == [signal.SIGUSR2, signal.SIGUSR1]

    async def test_taking_twice_is_taking_once(
        self, got: list[int], signals: LoopSignals, held: set[int]
    ) -> None:
        signals.take()
        signals.take()
        held.clear()
        signal.raise_signal(signal.SIGUSR1)
        await until(lambda: bool(got))
        assert got == [signal.SIGUSR1]

    async def test_a_handler_that_is_set_later_is_taken_again(
        self, got: list[int], signals: LoopSignals
    ) -> None:
        signals.take()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, got.append, 0)
        signals.take()
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        await until(lambda: bool(got))
        assert got == [signal.SIGUSR2]


class TestWithoutSuchALoop:
    async def test_a_loop_without_handlers_is_left_alone(self, signals: LoopSignals) -> None:
        signals.take()
        assert descriptor() == -1
        signals.pass_on(signal.SIGUSR1)

    async def test_a_loop_that_cannot_read_descriptors_is_not_changed(
        self, got: list[int], signals: LoopSignals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def add_reader(*_: Any) -> None:
            raise NotImplementedError

        before = descriptor()
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
        signals.take()
        assert descriptor() == before


def test_a_second_loop_gets_its_signals(held: set[int]) -> None:
    signals = LoopSignals(held.__contains__)
    got: list[int] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, got.append, 1)
        signals.take()
        signal.raise_signal(signal.SIGUSR2)
        await until(lambda: bool(got))

    asyncio.run(serve())
    # Its descriptor may belong to another file now.
    signals.pass_on(signal.SIGUSR1)
    got.clear()
    asyncio.run(serve())
    assert got == [1]
    assert descriptor() == -1
    signals.forget()


def test_the_descriptor_of_a_closed_loop_is_not_used(held: set[int]) -> None:
    signals = LoopSignals(held.__contains__)
    ours = -1

    async def serve() -> None:
        nonlocal ours
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, int)
        signals.take()
        ours = descriptor()

    async def serve_again() -> None:
        # As after a loop that does not clean up.
        signal.set_wakeup_fd(ours)
        signals.take()

    asyncio.run(serve())
    asyncio.run(serve_again())
    assert descriptor() == -1


async def test_forgetting_leaves_the_loop_of_the_parent_alone(
    got: list[int], signals: LoopSignals
) -> None:
    theirs = descriptor()
    signals.take()
    signals.forget()
    assert descriptor() == -1
    signals.pass_on(signal.SIGUSR1)
    signal.set_wakeup_fd(theirs)
    signal.raise_signal(signal.SIGUSR2)
    await until(lambda: bool(got))
    assert got == [signal.SIGUSR2]
