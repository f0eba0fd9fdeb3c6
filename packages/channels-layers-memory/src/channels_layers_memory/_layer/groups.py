"""Keep which channels are in which group, and since when."""

from collections import OrderedDict
from math import inf

__all__ = ["Groups"]


class Groups:
    """The members of groups, with the time at which each joined or last renewed.

    `members` is the truth. Programs read it and tests clear it, so that the two indices beside
    it may name what is no longer there, and never the other way round. No operation looks at
    more than one group or the groups of one channel.
    """

    def __init__(self) -> None:
        """Start with no group."""
        self.members: dict[str, dict[str, float]] = {}
        self._joined: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._groups_of: dict[str, set[str]] = {}

    @property
    def oldest(self) -> float:
        """The time of the membership that was not renewed for longest; inf if there is none."""
        return next(iter(self._joined.values()), inf)

    def add(self, group: str, channel: str, now: float) -> None:
        """Make a channel a member, or renew its membership."""
        self.members.setdefault(group, {})[channel] = now
        self._groups_of.setdefault(channel, set()).add(group)
        membership = (group, channel)
        self._joined[membership] = now
        self._joined.move_to_end(membership)

    def discard(self, group: str, channel: str) -> None:
        """End a membership, if there is one."""
        self._joined.pop((group, channel), None)
        groups = self._groups_of.get(channel)
        if groups is not None:
            groups.discard(group)
            if not groups:
                del self._groups_of[channel]
        members = self.members.get(group)
        if members is not None:
            members.pop(channel, None)
            if not members:
                self.members.pop(group, None)

    def forget(self, channel: str) -> None:
        """End all memberships of a channel."""
        for group in list(self._groups_of.get(channel, ())):
            self.discard(group, channel)

    def sweep(self, until: float) -> None:
        """End the memberships that were last renewed at or before a time."""
        while self._joined:
            membership, joined = next(iter(self._joined.items()))
            if joined > until:
                break
            self.discard(*membership)

    def clear(self) -> None:
        """End all memberships."""
        self.members.clear()
        self._joined.clear()
        self._groups_of.clear()
