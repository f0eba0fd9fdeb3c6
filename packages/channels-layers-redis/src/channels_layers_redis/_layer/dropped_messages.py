"""Count the messages that were dropped, and log a warning from time to time."""

from __future__ import annotations

import logging
import threading
import time
from math import inf
from typing import Final

__all__ = ["WARNING_INTERVAL", "DroppedMessages"]

#: Seconds between two warnings.
WARNING_INTERVAL: Final = 10.0

logger = logging.getLogger("django.channels.layers.redis")


class DroppedMessages:
    """Counts what was dropped in this process because a channel was full, or could not be read.

    Attributes:
        total: The messages for channels that were full.
        unreadable: The messages that no key could decrypt, or that were none.
        dead_letters: The dead letters of queues that had too many.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.start_anew()

    def start_anew(self) -> None:
        """Start at zero, with a lock that nobody holds."""
        self.total = 0
        self.unreadable = 0
        self.dead_letters = 0
        self._lock = threading.Lock()
        # By kind: what was counted at the last warning, and when the next one may come.
        self._told = {"full": (0, -inf), "unreadable": (0, -inf), "dead": (0, -inf)}

    def add(self, where: str, count: int) -> None:
        """Count messages for full channels, and warn unless that was done a short while ago."""
        with self._lock:
            self.total += count
            unreported = self._to_tell("full", self.total)
        # Not under the lock: a logging handler may itself send to a group.
        if unreported:
            logger.warning(
                "%s at capacity: %d message(s) dropped since the last warning. Receive faster, or "
                "set a higher capacity.",
                where,
                unreported,
            )

    def add_unreadable(self, error: Exception) -> None:
        """Count a message that cannot be read, and warn unless that was done a short while ago."""
        with self._lock:
            self.unreadable += 1
            unreported = self._to_tell("unreadable", self.unreadable)
        if unreported:
            logger.warning(
                "%d message(s) could not be read, and were skipped; the last one: %s. Do all "
                "processes have the same serializer_format and symmetric_encryption_keys?",
                unreported,
                error,
            )

    def add_dead_letters(self, channel: str, count: int) -> None:
        """Count dead letters, and warn unless that was done a short while ago."""
        with self._lock:
            self.dead_letters += count
            unreported = self._to_tell("dead", self.dead_letters)
        if unreported:
            logger.warning(
                "Channel %r holds as many dead letters as it can: the oldest %d dropped since the "
                "last warning. Receive them, or find out why the jobs fail.",
                channel,
                unreported,
            )

    def _to_tell(self, kind: str, total: int) -> int:
        told, not_before = self._told[kind]
        now = time.monotonic()
        if now < not_before:
            return 0
        self._told[kind] = (total, now + WARNING_INTERVAL)
        return total - told
