"""How many messages a client may send in a second."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

__all__ = ["MessageRate"]


class MessageRate:
    """Allow a number of messages per second; at first, and after a silence, as many at once."""

    __slots__ = ("_clock", "_left", "_per_second", "_since")

    def __init__(self, per_second: float, clock: Callable[[], float] = monotonic) -> None:
        """Begin with a second's messages.

        Args:
            per_second: The number of messages per second; less than 1 is possible.
            clock: Returns seconds and never goes back.
        """
        self._per_second = per_second
        self._clock = clock
        self._left = max(1.0, per_second)
        self._since = clock()

    def allows_one(self) -> bool:
        """Return whether one more message may come now, and count it if so."""
        now = self._clock()
        most = max(1.0, self._per_second)
        self._left = min(most, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
