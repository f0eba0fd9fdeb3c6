"""Remember which groups may have members that are channels of no process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from channels_layers_redis._scripts.plain_members import SKEW

__all__ = ["SKEW", "PlainGroups"]


class PlainGroups:
    """The groups that may have such members, with the time when that ends."""

    def __init__(self) -> None:
        """Start without a group."""
        self._until: dict[str, float] = {}

    def clear(self) -> None:
        """Forget all groups."""
        self._until.clear()

    def read(self, found: Sequence[bytes], now: float) -> None:
        """Take the groups as Redis has them.

        Args:
            found: Names and times, by turns.
            now: The time of the clock that those times are of.
        """
        later = time.monotonic() - now + SKEW
        names = (name.decode() for name in found[::2])
        self._until = {
            name: float(end) + later for name, end in zip(names, found[1::2], strict=True)
        }

    def add(self, group: str, seconds: float) -> None:
        """Record that a group has such members, for some seconds."""
        until = time.monotonic() + seconds + SKEW
        self._until[group] = max(until, self._until.get(group, 0.0))

    def may_have(self, group: str) -> bool:
        """Return whether a group may have such members."""
        until = self._until.get(group)
        if until is None:
            return False
        if until < time.monotonic():
            del self._until[group]
            return False
        return True
