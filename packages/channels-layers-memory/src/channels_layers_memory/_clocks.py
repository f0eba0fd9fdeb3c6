"""Tell the time: steadily, or as a test has set it."""

import time
from collections.abc import Callable

__all__ = ["movable", "steady"]


def _clocks() -> tuple[Callable[[], float], Callable[[], float]]:
    # Out of reach for what replaces these functions in all modules, as freezegun does.
    real, monotonic = time.time, time.monotonic
    base = real() - monotonic()

    def steady() -> float:
        """Return the seconds since the epoch, as if the clock had never been set since."""
        return base + monotonic()

    def movable() -> float:
        """Return what `time.time` returns where a test has replaced that, or else `steady()`."""
        now = time.time
        return base + monotonic() if now is real else now()

    return steady, movable


steady, movable = _clocks()
