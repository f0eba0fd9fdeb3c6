"""Remember which channels of a store fill up, for senders that let readers go first."""

import threading
from typing import Protocol

from channels_layers_memory._layer.backlogs import Backlogs
from channels_layers_memory._layer.groups import Groups

__all__ = ["Crowds", "Limits"]


class Limits(Protocol):
    """What bounds a store; asked whenever it matters."""

    @property
    def expiry(self) -> float:
        """Seconds that a message may wait."""

    @property
    def group_expiry(self) -> float:
        """Seconds that a membership lasts unless it is renewed."""

    def get_capacity(self, channel: str) -> int:
        """Return how many messages may wait in a channel."""


class Crowds:
    """What a store knows of its channels that are more than half full."""

    #: Channels that were so; with the number of the first message, where nobody took it while a
    #: sender gave way. That channel is not waited for again.
    crowded: dict[str, int | None]

    # Of the store that this is a part of.
    groups: Groups
    _limits: Limits
    _lock: threading.Lock
    _backlogs: Backlogs

    def first_if_crowded(self, name: str) -> int | None:
        """Return the number of the first message of a channel, if to give way may help.

        Returns:
            None if the channel is at most half full, or nobody has taken that message before.
        """
        with self._lock:
            backlog = self._backlogs.kept.get(name)
            if not backlog or len(backlog) * 2 <= self._limits.get_capacity(name):
                self.crowded.pop(name, None)
                return None
            first = backlog[0][1]
            return None if self.crowded.get(name) == first else first

    def has_first(self, name: str, number: int) -> bool:
        """Return whether a message is still the first of a channel."""
        with self._lock:
            backlog = self._backlogs.kept.get(name)
            return backlog is not None and len(backlog) > 0 and backlog[0][1] == number

    def note_unread(self, name: str, number: int) -> None:
        """Note that nobody takes the first message of a channel for now."""
        with self._lock:
            if name in self.crowded:
                self.crowded[name] = number

    def crowded_members(self, group: str) -> list[str]:
        """Return the channels of a group that were more than half full."""
        with self._lock:
            members = self.groups.members.get(group, ())
            return [name for name in self.crowded if name in members]
