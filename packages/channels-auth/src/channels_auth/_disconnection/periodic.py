"""Run something again and again, or when asked, and never twice at a time."""

import asyncio
import random
from collections.abc import Awaitable, Callable

__all__ = ["Periodic"]


class Periodic:
    """Call a coroutine function now and then.

    Between the calls there is no task, only a timer. A call that is asked for during another
    one follows it.
    """

    __slots__ = ("_again", "_every", "_function", "_stopped", "_task", "_timer")

    def __init__(self, function: Callable[[], Awaitable[object]], every: float | None) -> None:
        """Take what to call; `start` begins to.

        Args:
            function: What to call; it deals with its errors itself.
            every: Seconds between the end of a call and the next one; None for only when asked.
                Up to a tenth of it is left off by chance, so that what began together, as after
                a server's restart, does not come together for ever.
        """
        self._function = function
        self._every = every
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._stopped = False

    def start(self) -> None:
        """Begin to count; nothing if that has begun already."""
        if self._every is None or self._timer is not None or self._stopped:
            return
        delay = self._every * random.uniform(0.9, 1)  # noqa: S311 - nobody gains from a guess
        self._timer = asyncio.get_running_loop().call_later(delay, self.run_soon)

    def shorten_interval(self, every: float | None) -> None:
        """Call it at least that often from the next call on; None asks for nothing."""
        if every is not None and (self._every is None or every < self._every):
            self._every = every

    def run_soon(self) -> None:
        """Call it now, or after the call that runs."""
        if self._stopped:
            return
        if self._task is not None:
            self._again = True
            return
        self._pause()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while True:
                self._again = False
                await self._function()
                if not self._again:
                    break
        finally:
            self._task = None
            self.start()

    def _pause(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> asyncio.Task[None] | None:
        """Call it no more, and cancel the call that runs.

        Returns:
            The task of that call, to be waited for; None if there is none, or if it is this one.
        """
        self._stopped = True
        self._pause()
        task = self._task
        if task is None or task is asyncio.current_task():
            return None
        task.cancel()
        return task
