"""Find the limits of a group or a channel in the options of the layer, by its name."""

from __future__ import annotations

import re
from typing import Final, Generic, TypeVar

from channels_core.layer_extensions import HistoryLimits, QueueLimits, find_limits

__all__ = ["LimitsByName"]

LimitsT = TypeVar("LimitsT", HistoryLimits, QueueLimits)

# How many names are remembered.
_REMEMBERED: Final = 10_000


class LimitsByName(Generic[LimitsT]):
    """Finds limits, and remembers them: matching a name with patterns takes long."""

    def __init__(self, patterns: list[tuple[re.Pattern[str], LimitsT]]) -> None:
        """Take the patterns; the first that matches counts."""
        self._patterns: list[tuple[re.Pattern[str], LimitsT]] = patterns
        self._found: dict[str, LimitsT | None] = {}

    def __call__(self, name: str) -> LimitsT | None:
        """Return the limits of a name, or None if no pattern matches it."""
        try:
            return self._found[name]
        except KeyError:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            limits = self._found[name] = find_limits(self._patterns, name)
            return limits
