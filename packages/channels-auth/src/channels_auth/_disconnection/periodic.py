"""Call a function at intervals, on request and after a failure, never twice at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

__all__ = ["Periodic"]


class Periodic:
    """Call a coroutine function at intervals, on request and after a failure.

    Between two calls there is a timer and no task. A request during a call leads to one more call
    after it.
    """

    __slots__ = ("_function", "_interval", "_requested", "_stopped", "_task", "_timer")

    def __init__(
        self, function: Callable[[], Awaitable[float | None]], interval: float | None
    ) -> None:
        """Prepare the calls; `start` starts the timer.

        Args:
            function: The function to call. It handles its errors itself. It returns None, or the
                seconds after which to call it at the latest, whatever the interval is.
            interval: Seconds between the end of a call and the next one; None for calls on request
                and after a failure only. Up to a tenth is subtracted at random: connections that
                began together, for example after a restart of the server, spread out.
        """
        self._function = function
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        # The task of the call that runs.
        self._task: asyncio.Task[None] | None = None
        # Whether a call was requested while another one ran.
        self._requested = False
        self._stopped = False

    def start(self) -> None:
        """Start the timer; do nothing if it runs already."""
        self._start(None)

    def _start(self, delay: float | None) -> None:
        if self._timer is not None or self._stopped:
            return
        if self._interval is not None:
            interval = self._interval * random.uniform(0.9, 1)  # noqa: S311 - not a secret
            delay = interval if delay is None else min(delay, interval)
        if delay is not None:
            self._timer = asyncio.get_running_loop().call_later(delay, self.run_soon)

    def shorten_interval(self, interval: float | None) -> None:
        """Use a shorter interval from the next call on; a longer one or None changes nothing."""
        if interval is not None and (self._interval is None or interval < self._interval):
            self._interval = interval

    def run_soon(self) -> None:
        """Call the function now, or after the call that runs."""
        if self._stopped:
            return
        if self._task is not None:
            self._requested = True
            return
        self._cancel_timer()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        delay = None
        try:
            while True:
                self._requested = False
                delay = await self._function()
                if not self._requested:
                    break
        finally:
            self._task = None
            self._start(delay)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> asyncio.Task[None] | None:
        """Stop for good, and cancel the call that runs.

        Returns:
            The task of that call, for the caller to wait for; None if no call runs, or if the
            caller is that call.
        """
        self._stopped = True
        self._cancel_timer()
        task = self._task
        if task is None or task is asyncio.current_task():
            return None
        task.cancel()
        return task
