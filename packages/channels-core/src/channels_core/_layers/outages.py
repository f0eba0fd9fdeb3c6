"""Outages of a channel layer: which errors are one, and when to try again.

In an outage a layer cannot reach its store for now, as while Redis restarts. `is_outage`
distinguishes an outage from a fault in the program. A worker, and the renewal of memberships, call
the layer again and again. Each keeps a `Backoff`: it counts the failures in a row, and returns how
long to wait and whether the layer works again.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Backoff", "is_outage", "mark_as_answered", "was_answered"]

#: Errors of clients of stores that derive from no `OSError`, by module and name, for layers
#: without `outage_errors`. Channels imports none of these modules.
_ERRORS_OF_CLIENTS: Final = frozenset(
    (module, name)
    for module in ("aioredis.exceptions", "redis.exceptions", "valkey.exceptions")
    for name in ("ConnectionError", "TimeoutError")
)

#: The attribute that `mark_as_answered` sets.
_MARK: Final = "_channels_answered"

#: After this many doublings each wait has reached its bound.
_MOST_DOUBLINGS: Final = 10


def is_outage(layer: Any, error: BaseException) -> bool:
    """Return whether an error means that a channel layer cannot reach its store for now.

    Every `OSError` does, and so does an error that the layer's class lists in `outage_errors`.

    Args:
        layer: The channel layer, which need not derive from ours.
        error: The exception that a call of the layer raised.
    """
    if isinstance(error, (OSError, *getattr(type(layer), "outage_errors", ()))):
        return True
    return any(
        (kind.__module__, kind.__name__) in _ERRORS_OF_CLIENTS for kind in type(error).__mro__
    )


def mark_as_answered(error: BaseException) -> None:
    """Record in an error that its work will be done once the outage is over."""
    vars(error)[_MARK] = True


def was_answered(error: BaseException) -> bool:
    """Return whether an error is marked, so that nobody has to log or answer it."""
    return _MARK in vars(error)


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
        self.failures = 0
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
