import asyncio
from typing import Any

import pytest

from channels_auth._disconnection.periodic import Periodic
from timers import Timer

# A safety net, for a loaded machine.
SECONDS = 30


class Steps:
    """A function that counts its calls; each one runs until the test lets it end."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.may_end = asyncio.Semaphore(0)
        self.count = 0
        self.at_once = 0
        # What each call returns.
        self.delay: float | None = None

    async def __call__(self) -> float | None:
        self.count += 1
        self.at_once += 1
        assert self.at_once == 1
        self.begun.put_nowait(self.count)
        try:
            await self.may_end.acquire()
        finally:
            self.at_once -= 1
        return self.delay

    async def next(self) -> int:
        return await asyncio.wait_for(self.begun.get(), SECONDS)


async def stopped(periodic: Periodic) -> None:
    task = periodic.stop()
    if task is not None:
        await asyncio.wait([task])


async def let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_is_called_again_and_again() -> None:
    steps = Steps()
    periodic = Periodic(steps, 0.001)
    periodic.start()
    periodic.start()
    for number in (1, 2, 3):
        assert await steps.next() == number
        steps.may_end.release()
    await stopped(periodic)
    assert steps.at_once == 0


async def test_between_the_calls_there_is_no_task(timers: list[Timer]) -> None:
    periodic = Periodic(Steps(), 100)
    periodic.start()
    [timer] = timers
    assert 90 <= timer.delay <= 100
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await stopped(periodic)


async def test_without_an_interval_it_is_called_on_request_only() -> None:
    steps = Steps()
    periodic = Periodic(steps, None)
    periodic.start()
    await let_run()
    assert steps.count == 0
    steps.may_end.release()
    periodic.run_soon()
    assert await steps.next() == 1
    await stopped(periodic)
    assert steps.count == 1


@pytest.mark.parametrize(("interval", "delay"), [(None, 2), (1000, 2), (1, 2), (1, None)])
async def test_a_call_may_ask_for_the_next_one(
    timers: list[Timer], interval: Any, delay: float | None
) -> None:
    steps = Steps()
    steps.delay = delay
    steps.may_end.release()
    periodic = Periodic(steps, interval)
    periodic.run_soon()
    await let_run()
    [timer] = timers
    assert timer.delay == 2 if interval != 1 else 0.9 <= timer.delay <= 1
    steps.delay = None
    timer.run()
    steps.may_end.release()
    await let_run()
    assert steps.count == 2
    assert len(timers) == (1 if interval is None else 2)
    await stopped(periodic)


async def test_requests_during_a_call_lead_to_one_call() -> None:
    steps = Steps()
    periodic = Periodic(steps, 1000)
    periodic.start()
    periodic.run_soon()
    assert await steps.next() == 1
    periodic.run_soon()
    periodic.run_soon()
    await let_run()
    assert steps.count == 1
    steps.may_end.release()
    assert await steps.next() == 2
    steps.may_end.release()
    await let_run()
    assert steps.count == 2
    await stopped(periodic)


async def test_stopping_ends_the_call_that_runs() -> None:
    steps = Steps()
    periodic = Periodic(steps, 0.001)
    periodic.run_soon()
    await steps.next()
    await stopped(periodic)
    assert steps.at_once == 0
    periodic.run_soon()
    periodic.start()
    await let_run()
    assert steps.count == 1


async def test_a_call_may_stop_it() -> None:
    async def function() -> None:
        await stopped(periodic)
        done.set()

    done = asyncio.Event()
    periodic = Periodic(function, 0.001)
    periodic.start()
    await asyncio.wait_for(done.wait(), SECONDS)


@pytest.mark.parametrize(
    ("interval", "shorter", "expected"),
    [(None, None, None), (None, 5, 5), (7, None, 7), (7, 9, 7), (7, 5, 5)],
)
async def test_the_interval_can_only_become_shorter(
    timers: list[Timer], interval: Any, shorter: Any, expected: Any
) -> None:
    periodic = Periodic(Steps(), interval)
    periodic.shorten_interval(shorter)
    periodic.start()
    if expected is None:
        assert timers == []
    else:
        [timer] = timers
        assert expected * 0.9 <= timer.delay <= expected
    await stopped(periodic)
