"""Decide when to try again what has failed; for plugin authors.

What depends on a server that may be away for a while, such as the channel layer or a database, is
tried again and again. Whoever tries keeps a `Backoff`: it counts the failures in a row, and returns
how long to wait and whether it works again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Backoff"]

#: After this many doublings each wait has reached its bound.
_MOST_DOUBLINGS: Final = 10


class Backoff:
    """The failures in a row of something that is tried again and again.

    Attributes:
        failures: The number of failures since it last worked; 0 while it works.
    """

    def __init__(
        self,
        *,
        first: float,
        longest: float,
        limit: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Start without a failure.

        Args:
            first: Seconds: the longest wait after the first failure. Each further failure
                doubles it.
            longest: Seconds: the bound of every wait.
            limit: Seconds after the first failure at which to give up; None never gives up.
            clock: Returns the time in seconds and never goes back.
            jitter: Returns a number from 0 to 1, by which a wait is half its length up to all
                of it. Many processes that lost the same server then do not return together.
        """
        self.failures: int = 0
        self._first = first
        self._longest = longest
        self._limit = limit
        self._clock = clock
        self._jitter = jitter
        self._since = 0.0

    def failed(self) -> float | None:
        """Record a failure.

        Returns:
            The seconds to wait before the next attempt; None to give up. The last attempt is at
            the limit.
        """
        now = self._clock()
        if not self.failures:
            self._since = now
        self.failures += 1
        doublings = min(self.failures - 1, _MOST_DOUBLINGS)
        wait = min(self._longest, self._first * 2.0**doublings) * (1 + self._jitter()) / 2
        if self._limit is None:
            return wait
        left = self._since + self._limit - now
        return None if left <= 0 else min(left, wait)

    @property
    def seconds(self) -> float:
        """The time since the first failure in a row."""
        return self._clock() - self._since

    def worked(self) -> int:
        """Record a success.

        Returns:
            How many failures it ended; 0 if it worked before, so that there is no news.
        """
        failures, self.failures = self.failures, 0
        return failures
