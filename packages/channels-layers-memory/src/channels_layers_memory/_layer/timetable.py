"""Say what is due: histories to trim, members that linger, deliveries without an answer."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterator
from math import inf
from typing import Final, Generic, TypeVar

__all__ = ["Timetable"]

KeyT = TypeVar("KeyT", bound=Hashable)

# Entries that no longer count are removed once there are this many more than those that do.
_SPARE: Final = 64


class Timetable(Generic[KeyT]):
    """Keys with a time each."""

    def __init__(self) -> None:
        """Start with no key."""
        self._times: dict[KeyT, float] = {}
        # A heap of times and keys. Entries that were cancelled, or planned for another time since,
        # are skipped. The number in the middle keeps keys from being compared.
        self._entries: list[tuple[float, int, KeyT]] = []
        self._next_number = itertools.count().__next__

    @property
    def next(self) -> float:
        """The time that comes first, or an earlier one; inf if no key has a time."""
        return self._entries[0][0] if self._times else inf

    def plan(self, key: KeyT, time: float) -> None:
        """Give a key a time, instead of the one that it may have."""
        self._times[key] = time
        if len(self._entries) > 2 * len(self._times) + _SPARE:
            self._entries = [(at, self._next_number(), one) for one, at in self._times.items()]
            heapq.heapify(self._entries)
        else:
            heapq.heappush(self._entries, (time, self._next_number(), key))

    def cancel(self, key: KeyT) -> None:
        """Take the time of a key away, if it has one."""
        self._times.pop(key, None)

    def due(self, now: float) -> Iterator[KeyT]:
        """Yield each key whose time has come; it has no time from then on."""
        while self._entries and self._entries[0][0] <= now:
            time, _, key = heapq.heappop(self._entries)
            if self._times.get(key) == time:
                del self._times[key]
                yield key

    def clear(self) -> None:
        """Take all times away."""
        self._times.clear()
        self._entries.clear()
