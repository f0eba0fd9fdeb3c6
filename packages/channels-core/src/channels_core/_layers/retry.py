"""When to try again what fails, and when to give up."""

import random
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Retry"]

#: Seconds: the longest wait before the second attempt, and before any later one.
_FIRST: Final = 0.2
_LONGEST: Final = 10.0

#: So many doublings are past the longest wait.
_DOUBLINGS: Final = 10


class Retry:
    """The failures in a row of something that is tried again and again.

    Attributes:
        failures: How many there are; 0 while it works.
    """

    def __init__(
        self,
        limit: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Begin as if it worked.

        Args:
            limit: Seconds from the first failure in a row after which to give up.
            clock: Tells the time in seconds and never turns back.
            jitter: Returns a number from 0 to 1: many processes that lost the same server shall
                not all come back to it at the same moment.
        """
        self.failures = 0
        self._limit = limit
        self._clock = clock
        self._jitter = jitter
        self._since = 0.0

    def failed(self) -> float | None:
        """Note a failure.

        Returns:
            The seconds to wait before the next attempt, the last of which is at the limit; None
            if that has passed.
        """
        now = self._clock()
        if not self.failures:
            self._since = now
        self.failures += 1
        left = self._since + self._limit - now
        if left <= 0:
            return None
        longest = min(_LONGEST, _FIRST * 2.0 ** min(self.failures - 1, _DOUBLINGS))
        return min(left, longest * (1 + self._jitter()) / 2)

    @property
    def seconds(self) -> float:
        """The time since the first failure in a row."""
        return self._clock() - self._since

    def worked(self) -> None:
        """Note that it works."""
        self.failures = 0
