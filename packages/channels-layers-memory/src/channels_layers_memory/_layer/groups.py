"""Keep which channels are in which group, and since when."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf

__all__ = ["Groups"]


class Groups:
    """The members of groups, with the time at which each joined or last renewed.

    `members` decides. Programs read it and tests clear it, so the two indices beside it may name
    memberships that no longer exist; they never lack one. No operation looks at more than one
    group, or at more than the groups of one channel.
    """

    def __init__(self, tell_ended: Callable[[str, str], object] | None = None) -> None:
        """Start with no group.

        Args:
            tell_ended: Called with the group and channel of each membership that has ended.
        """
        self.tell_ended = tell_ended
        #: By group: its channels, with the time of each membership.
        self.members: dict[str, dict[str, float]] = {}
        # All memberships (group and channel) in the order in which they expire.
        self._joined: OrderedDict[tuple[str, str], float] = OrderedDict()
        # The groups of each channel: mostly one, and the set for more takes 0.2 KiB.
        self._groups_of: dict[str, str | set[str]] = {}

    @property
    def oldest(self) -> float:
        """The time of the membership that expires first; inf if no channel is in a group."""
        return next(iter(self._joined.values()), inf)

    def add(self, group: str, channel: str, now: float) -> None:
        """Make a channel a member, or renew its membership."""
        self.members.setdefault(group, {})[channel] = now
        groups = self._groups_of.setdefault(channel, group)
        if isinstance(groups, set):
            groups.add(group)
        elif groups != group:
            self._groups_of[channel] = {groups, group}
        membership = (group, channel)
        self._joined[membership] = now
        self._joined.move_to_end(membership)

    def discard(self, group: str, channel: str) -> None:
        """End a membership if it exists."""
        self._joined.pop((group, channel), None)
        groups = self._groups_of.get(channel)
        if isinstance(groups, set):
            groups.discard(group)
            if not groups:
                del self._groups_of[channel]
        elif groups == group:
            del self._groups_of[channel]
        members = self.members.get(group)
        if members is not None:
            members.pop(channel, None)
            if not members:
                self.members.pop(group, None)
        if self.tell_ended is not None:
            self.tell_ended(group, channel)

    def forget(self, channel: str) -> None:
        """End all memberships of a channel."""
        groups = self._groups_of.get(channel, ())
        for group in (groups,) if isinstance(groups, str) else list(groups):
            self.discard(group, channel)

    def expire(self, until: float) -> None:
        """End the memberships that were last renewed at or before a time."""
        while self._joined:
            membership, joined = next(iter(self._joined.items()))
            if joined > until:
                break
            self.discard(*membership)

    def clear(self) -> None:
        """End all memberships, and tell nobody."""
        self.members.clear()
        self._joined.clear()
        self._groups_of.clear()
