"""Begin some work at once, to prepare for a wait only if it waits."""

from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType, coroutine
from typing import Any

__all__ = ["begin"]


def begin(work: Awaitable[None]) -> Awaitable[None] | None:
    """Run some work until it waits for the first time; for authors of consumer classes.

    Most handlers and clean-ups end without waiting. What they need while they wait, such as a
    timer, can so be left out.

    Args:
        work: Nearly always a coroutine.

    Returns:
        The rest of the work, to be awaited in the same task; None if the work has ended.

    Raises:
        Exception: What the work has raised before it waited.
    """
    steps = work if isinstance(work, CoroutineType) else _wait_for(work)
    try:
        waits_for = steps.send(None)
    except StopIteration:
        return None
    return _go_on(steps, waits_for)


async def _wait_for(work: Awaitable[None]) -> None:
    await work


@coroutine
def _go_on(steps: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, None, None]:
    """Go on with a coroutine that has begun.

    Args:
        steps: The coroutine.
        waits_for: What it waits for now: what its `send` has returned.
    """
    while True:
        try:
            yield waits_for
        except BaseException as error:  # noqa: BLE001 - for the coroutine
            try:
                waits_for = steps.throw(error)
            except StopIteration:
                return
        else:
            yield from steps
            return
