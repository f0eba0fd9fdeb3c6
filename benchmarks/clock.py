"""How a process measures: the smallest of several short repetitions, in CPU time."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from benchmarks.case import Row
from benchmarks.honesty import DishonestError

__all__ = ["cheapest", "cpu", "run"]

T = TypeVar("T")

#: CPU time of all threads of this process. Other programs that are busy do not count in it.
cpu = time.process_time

#: How often to look whether the process still works, in seconds ...
LOOK: Final = 1.0
#: ... what share of a processor it uses at least while it does ...
WORKING: Final = 0.01
#: ... and after how many idle looks, one after the other, it waits for something that was lost. A
#: machine that stands still for a while makes one look late, not several.
IDLE_LOOKS: Final = 5


async def cheapest(once: Callable[[], Awaitable[float]], repetitions: int) -> float:
    """Return the smallest figure of several repetitions, after one that warms up."""
    figures = []
    for _ in range(repetitions + 1):
        # What earlier repetitions left must not be collected inside this one.
        gc.collect()
        figures.append(await once())
        await asyncio.sleep(0)
    return min(figures[1:])


def run(measuring: Coroutine[Any, Any, T], row: Row, *, more: float = 0, waits: bool = False) -> T:
    """Return the result of a coroutine that measures a row, in an event loop of its own.

    The coroutine is cancelled when it does not end, and can then say what is missing, with a
    `DishonestError`.

    Args:
        measuring: The coroutine.
        row: Its row, with the time that it may take.
        more: Seconds that it may take beyond that.
        waits: Whether it may wait for seconds, for another process or because it sleeps.

    Raises:
        DishonestError: It did not end, because something that it waits for was lost.
    """

    async def limited() -> T:
        task = asyncio.ensure_future(measuring)
        # Before the runner ends the whole process, which could not say why.
        end = time.monotonic() + row.timeout * 0.9 + more
        used, idle = cpu(), 0
        while not task.done() and idle < IDLE_LOOKS and (left := end - time.monotonic()) > 0:
            await asyncio.wait({task}, timeout=min(LOOK, left))
            before, used = used, cpu()
            idle = 0 if waits or used - before > LOOK * WORKING else idle + 1
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task}, timeout=IDLE_LOOKS * LOOK)
        if task.done() and not task.cancelled():
            error = task.exception()
            if isinstance(error, DishonestError):
                raise error
        raise DishonestError("not all of it arrived in time, or at all")

    return asyncio.run(limited())
