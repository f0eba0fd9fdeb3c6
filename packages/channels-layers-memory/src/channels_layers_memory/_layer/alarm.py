"""Call a function at a time, in an event loop that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from channels_layers_memory._layer.readers import running_loop

__all__ = ["Alarm", "Pulse"]


class Alarm:
    """Calls a function once a time has come, if an event loop runs until then.

    There may be no event loop when it is set, or it may end before that time. So what is due has to
    be looked for elsewhere too.
    """

    def __init__(self, ring: Callable[[], object]) -> None:
        """Be set to no time.

        Args:
            ring: Called at the time, and perhaps at others.
        """
        self._ring = ring
        self._at = inf
        self._loop: asyncio.AbstractEventLoop | None = None

    def set(self, at: float, now: float) -> None:
        """Ring at a time, unless an earlier one is set.

        Args:
            at: The time.
            now: The present time, by the same clock.
        """
        if self._at <= at and self._loop is not None and self._loop.is_running():
            return
        loop = running_loop()
        if loop is not None:
            self._at, self._loop = at, loop
            loop.call_later(max(0.0, at - now), self._call)

    def _call(self) -> None:
        self._at = inf
        self._ring()


class Pulse:
    """Calls a function again and again, in the event loop that runs, until it is stopped."""

    def __init__(self, call: Callable[[], object], every: float) -> None:
        """Call for the first time after the first interval.

        Args:
            call: The function.
            every: The interval, in seconds.
        """
        self._call = call
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(every, self._beat)

    def stop(self) -> None:
        """Call no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(self._every, self._beat)
        self._call()
