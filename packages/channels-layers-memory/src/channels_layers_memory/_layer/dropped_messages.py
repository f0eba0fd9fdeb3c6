"""Count the messages that groups dropped, and warn of them now and then."""

import logging
import threading
from collections.abc import Callable
from math import inf
from typing import Final

from channels_core.forks import start_anew_in_children

__all__ = ["INTERVAL", "Drops"]

#: Seconds between two warnings.
INTERVAL: Final = 10.0

logger = logging.getLogger("django.channels.layers.memory")


class Drops:
    """The messages that were sent to a group and dropped because a member was full."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start with none.

        Args:
            clock: Tells the time in seconds.
        """
        self._clock = clock
        self.start_anew()
        start_anew_in_children(self, type(self).start_anew)

    def start_anew(self) -> None:
        """Forget what was counted, and hold no lock."""
        self.total = 0
        self._lock = threading.Lock()
        self._reported = 0
        self._quiet_until = -inf

    def add(self, group: str, count: int) -> None:
        """Count what was dropped, and warn unless there was a warning a short while ago."""
        with self._lock:
            self.total += count
            now = self._clock()
            if now < self._quiet_until:
                return
            self._quiet_until = now + INTERVAL
            fresh = self.total - self._reported
            self._reported = self.total
        # Not under the lock: a logging handler may itself send to a group.
        logger.warning(
            "Group %r has channels at capacity: %d message(s) to groups dropped since the last "
            "warning. Receive faster, or set a higher capacity.",
            group,
            fresh,
        )
