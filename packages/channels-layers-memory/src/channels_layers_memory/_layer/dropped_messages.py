"""Count the messages that groups dropped, and log a warning from time to time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from math import inf
from typing import Final

from channels_core.forks import start_anew_in_children

__all__ = ["WARNING_INTERVAL", "DroppedMessages"]

#: Seconds between two warnings.
WARNING_INTERVAL: Final = 10.0

logger = logging.getLogger("django.channels.layers.memory")


_FULL: Final = (
    "Group %r has channels at capacity: %d message(s) to groups dropped since the last "
    "warning. Receive faster, or set a higher capacity."
)


class DroppedMessages:
    """Counts the messages that were dropped, such as those to groups because a member was full."""

    def __init__(self, clock: Callable[[], float], warning: str = _FULL) -> None:
        """Start at zero.

        Args:
            clock: Tells the time in seconds.
            warning: What is logged, with the name of a group or channel, and the count.
        """
        self._clock = clock
        self._warning = warning
        self.start_anew()
        start_anew_in_children(self, type(self).start_anew)

    def start_anew(self) -> None:
        """Start at zero, with a lock that nobody holds."""
        self.total = 0
        self._lock = threading.Lock()
        self._total_at_last_warning = 0
        self._no_warning_before = -inf

    def add(self, name: str, count: int) -> None:
        """Count dropped messages, and warn unless the last warning was a short while ago."""
        with self._lock:
            self.total += count
            now = self._clock()
            if now < self._no_warning_before:
                return
            self._no_warning_before = now + WARNING_INTERVAL
            unreported = self.total - self._total_at_last_warning
            self._total_at_last_warning = self.total
        # Not under the lock: a logging handler may itself send to a group.
        logger.warning(self._warning, name, unreported)
