"""Keep who is in a group: the members by their id, each with the data of its connections.

A member is told to its group when the first connection of its id joins, and when the last one has
left and none has come back within the linger time. Until then it is listed, with no connection.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any, Final, TypeAlias

from channels_layers_memory._layer.dropped_messages import DroppedMessages
from channels_layers_memory._layer.store import Store
from channels_layers_memory._layer.timetable import Timetable

__all__ = ["Members"]

# Any: the values of a member are the program's own.
Data: TypeAlias = dict[str, Any]
_Id: TypeAlias = str | int

_JOINED: Final = "group.joined"
_LEFT: Final = "group.left"


class _Member:
    """One id in one group.

    Attributes:
        connections: The data by channel, in the order in which the channels joined.
        data: The data of the channel that joined last, of those that are there, or of the last one
            that was there.
    """

    __slots__ = ("connections", "data")

    def __init__(self) -> None:
        self.connections: dict[str, Data] = {}
        self.data: Data = {}

    def tell(self, channel: str, data: Data) -> None:
        # One that is there keeps its place: consumers renew their memberships with their data.
        self.connections[channel] = data
        self._find_data()

    def leave(self, channel: str) -> None:
        self.connections.pop(channel, None)
        if self.connections:
            self._find_data()

    def _find_data(self) -> None:
        self.data = next(reversed(self.connections.values()))


class Members:
    """The members of the groups of one store."""

    def __init__(self, store: Store, linger: float, dropped: DroppedMessages) -> None:
        """Start with no member.

        Args:
            store: Holds the groups; it settles and clears this object from now on.
            linger: Seconds after which a member without a connection has left.
            dropped: Counts what does not reach a member of a group because it is full.
        """
        self._store = store
        self._linger = linger
        self._dropped = dropped
        # By group and id, in the order in which they joined.
        self._members: dict[str, dict[_Id, _Member]] = {}
        # The id that each membership (group and channel) has told.
        self._ids: dict[tuple[str, str], _Id] = {}
        # When each member without a connection has left.
        self._leaving: Timetable[tuple[str, _Id]] = Timetable()
        store.attach(self)
        store.tell_ended_memberships(self._ended)

    def join(self, group: str, channel: str, data: Data) -> None:
        """Add a channel to a group, or renew its membership, and record its member.

        Args:
            group: The group.
            channel: The channel.
            data: The member, as `checked_member` has returned it.
        """
        name: _Id = data["id"]
        with self._store.operation() as now:
            self._drop_if_removed(group, name)
            self._store.join_within(group, channel, now)
            former = self._ids.get((group, channel))
            if former is not None and former != name:
                self._ended(group, channel)
            self._ids[group, channel] = name
            self._leaving.cancel((group, name))
            members = self._members.setdefault(group, {})
            member = members.get(name)
            if member is not None:
                member.tell(channel, data)
                return
            members[name] = member = _Member()
            member.tell(channel, data)
            self._notify(_JOINED, group, data, now)

    def list(self, group: str) -> list[Data]:
        """Return the members of a group, in the order in which they joined."""
        with self._store.operation():
            for name in list(self._members.get(group, ())):
                self._drop_if_removed(group, name)
            members = self._members.get(group, {}).values()
            listed = [(member.data, len(member.connections)) for member in members]
        return [{**deepcopy(data), "connections": connections} for data, connections in listed]

    # Called by the store, under its lock

    def settle(self, now: float) -> float:
        """Tell groups who has left, and return when to look again."""
        for group, name in self._leaving.due(now):
            self._notify(_LEFT, group, self._remove(group, name).data, now)
        return self._leaving.next

    def forget(self, channel: str) -> None:
        """Do nothing: the store ends the memberships of a forgotten channel, and tells of each."""

    def clear(self) -> None:
        """Drop all members, and tell nobody."""
        self._members.clear()
        self._ids.clear()
        self._leaving.clear()

    def _ended(self, group: str, channel: str) -> None:
        """End the connection of a membership, if it has told an id."""
        name = self._ids.pop((group, channel), None)
        if name is None:
            return
        member = self._members[group][name]
        member.leave(channel)
        if not member.connections:
            now = self._store.time()
            self._leaving.plan((group, name), now + self._linger)
            self._store.plan_settling(now + self._linger, now)

    def _drop_if_removed(self, group: str, name: _Id) -> None:
        """Drop a member whose channels a program has removed from the layer's `groups` itself."""
        member = self._members.get(group, {}).get(name)
        if member is None or not member.connections:
            return
        channels = self._store.groups.members.get(group, ())
        for channel in [one for one in member.connections if one not in channels]:
            del self._ids[group, channel]
            member.leave(channel)
        if not member.connections:
            self._remove(group, name)

    def _remove(self, group: str, name: _Id) -> _Member:
        members = self._members[group]
        member = members.pop(name)
        if not members:
            del self._members[group]
        return member

    def _notify(self, kind: str, group: str, data: Data, now: float) -> None:
        notice = {"type": kind, "group": group, "member": data}
        channels = tuple(self._store.groups.members.get(group, ()))
        full = self._store.put_to(channels, partial(deepcopy, notice), now)
        if full:
            self._store.call_later(partial(self._dropped.add, group, full))
