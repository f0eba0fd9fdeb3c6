import asyncio
from collections.abc import Callable

from channels_layers_memory._layer.alarm import Alarm, Pulse


class Bell:
    """Counts how often it rings, and can be waited for."""

    def __init__(self) -> None:
        self.rung = 0
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.rung += 1
        self.event.set()

    async def next(self) -> None:
        async with asyncio.timeout(5):
            await self.event.wait()
        self.event.clear()


async def ring(alarm_of: Callable[[Bell], Alarm], at: float = 100) -> Bell:
    bell = Bell()
    alarm_of(bell).set(at, at)
    await bell.next()
    return bell


async def test_it_rings() -> None:
    await ring(Alarm)


async def test_an_earlier_time_is_enough() -> None:
    bell = Bell()
    alarm = Alarm(bell)
    alarm.set(101, 101)
    alarm.set(102, 101)
    alarm.set(200, 101)
    await bell.next()
    assert bell.rung == 1
    alarm.set(102, 102)
    await bell.next()


async def test_an_earlier_time_comes_before() -> None:
    bell = Bell()
    alarm = Alarm(bell)
    alarm.set(1000, 0)
    alarm.set(1, 1)
    await bell.next()


def test_without_an_event_loop_it_is_not_set() -> None:
    bell = Bell()
    Alarm(bell).set(0, 0)
    assert not bell.rung


def test_it_is_set_anew_once_its_loop_is_gone() -> None:
    bell = Bell()
    alarm = Alarm(bell)

    async def set_only() -> None:
        alarm.set(1000, 0)

    async def set_and_wait() -> None:
        alarm.set(1000, 1000)
        await bell.next()

    asyncio.run(set_only())
    asyncio.run(set_and_wait())
    assert bell.rung == 1


async def test_a_pulse_goes_on_until_it_is_stopped() -> None:
    bell = Bell()
    pulse = Pulse(bell, 0.001)
    for _ in range(3):
        await bell.next()
    pulse.stop()
    rung = bell.rung
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.005, later.set)
    await later.wait()
    assert bell.rung == rung
