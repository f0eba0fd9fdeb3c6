"""Tell the time: steadily, or as a test has set it."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["UNMOVED", "movable", "steady"]


class _Unmoved(NamedTuple):
    """What the time is read from, out of reach for what replaces these functions in all modules.

    freezegun does so, for example. The time since the epoch, as if the clock had never been set, is
    `base + monotonic()`.
    """

    time: Callable[[], float]
    base: float
    monotonic: Callable[[], float]


UNMOVED: Final = _Unmoved(time.time, time.time() - time.monotonic(), time.monotonic)


def steady() -> float:
    """Return the seconds since the epoch, as if the clock had never been set since."""
    return UNMOVED.base + UNMOVED.monotonic()


def movable() -> float:
    """Return what `time.time` returns where a test has replaced that, or else `steady()`."""
    now = time.time
    return steady() if now is UNMOVED.time else now()
