"""Begin some work at once, to prepare for a wait only if it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType, coroutine
from typing import Any

__all__ = ["Rest", "begin"]


class Rest:
    """The rest of some work that has begun, and waits.

    It is awaited in two steps, in the task where the work has begun: `if await rest.first_wait():
    await rest`. So no generator stays between the task and what the work waits for, which would
    cost 0.05 us for each wait.
    """

    __slots__ = ("_steps", "_waits_for")

    def __init__(self, steps: Coroutine[Any, Any, None], waits_for: Any) -> None:
        """Take a coroutine that has begun.

        Args:
            steps: The coroutine.
            waits_for: What it waits for now: what its `send` has returned.
        """
        self._steps = steps
        self._waits_for = waits_for

    # Not the coroutine itself: Python refuses to await one that waits already.
    def __await__(self) -> Generator[Any, Any, None]:
        return self._steps.__await__()

    @coroutine
    def first_wait(self) -> Generator[Any, Any, bool]:
        """Wait for what the work waits for now, and return whether the work goes on after that."""
        waits_for = self._waits_for
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - for the coroutine
                try:
                    waits_for = self._steps.throw(error)
                except StopIteration:
                    return False
            else:
                return True


def begin(work: Awaitable[None]) -> Rest | None:
    """Run some work until it waits for the first time; for authors of consumer classes.

    Most handlers and clean-ups end without waiting. What they need while they wait, such as a
    timer, can so be left out.

    Args:
        work: Nearly always a coroutine.

    Returns:
        The rest of the work; None if the work has ended.

    Raises:
        Exception: What the work has raised before it waited.
    """
    steps: Any = work if type(work) is CoroutineType else _wait_for(work)
    try:
        waits_for = steps.send(None)
    except StopIteration:
        return None
    return Rest(steps, waits_for)


async def _wait_for(work: Awaitable[None]) -> None:
    await work
