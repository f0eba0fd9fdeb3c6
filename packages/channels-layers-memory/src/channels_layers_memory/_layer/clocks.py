"""Tell the time: by a clock that nobody sets, or as a test has set it.

Libraries such as freezegun replace `time.time` and `time.monotonic` in every module that has them
as globals. The originals are kept here as attributes of an object, where they are not found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["ORIGINAL", "mockable_time", "steady_time"]


class _OriginalClock:
    """The functions of `time` as they were at import.

    `base + monotonic()` is the time since the epoch, as if the clock had not been set since then.
    """

    __slots__ = ("base", "monotonic", "time")

    def __init__(self) -> None:
        self.time: Callable[[], float] = time.time
        self.monotonic: Callable[[], float] = time.monotonic
        self.base: float = time.time() - time.monotonic()


ORIGINAL: Final = _OriginalClock()


def steady_time() -> float:
    """Return the seconds since the epoch, as if the clock had not been set since the import."""
    return ORIGINAL.base + ORIGINAL.monotonic()


def mockable_time() -> float:
    """Return `time.time()` if a test has replaced that function, or else `steady_time()`."""
    now = time.time
    return steady_time() if now is ORIGINAL.time else now()
