"""How a process measures: the smallest of several short repetitions, in CPU time."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from benchmarks.case import Row
from benchmarks.honesty import DishonestError

__all__ = ["cheapest", "cpu", "run"]

T = TypeVar("T")

#: CPU time of all threads of this process. Other programs that are busy do not count in it.
cpu = time.process_time


async def cheapest(once: Callable[[], Awaitable[float]], repetitions: int) -> float:
    """Return the smallest figure of several repetitions, after one that warms up."""
    figures = []
    for _ in range(repetitions + 1):
        # What earlier repetitions left must not be collected inside this one.
        gc.collect()
        figures.append(await once())
        await asyncio.sleep(0)
    return min(figures[1:])


def run(measuring: Coroutine[Any, Any, T], row: Row) -> T:
    """Return the result of a coroutine that measures a row, in an event loop of its own.

    Raises:
        DishonestError: It did not end in time, because something that it waits for was lost.
    """

    async def limited() -> T:
        try:
            # Before the runner ends the whole process, which could not say why.
            return await asyncio.wait_for(measuring, row.timeout * 0.9)
        except TimeoutError:
            raise DishonestError("not all of it arrived in time, or at all") from None

    return asyncio.run(limited())
