"""Keep the last messages of groups, and number them.

The number is given under the lock of the store, in the same step in which the message reaches the
members. So all see the messages of a group in the order of their positions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from functools import partial
from itertools import islice
from math import inf
from typing import Any

from channels_core.layer_extensions import (
    History,
    HistoryLimits,
    format_position,
    group_tag,
    new_epoch,
    parse_position,
)
from channels_layers_memory._layer.codec import MakeCopy
from channels_layers_memory._layer.store import Store
from channels_layers_memory._layer.timetable import Timetable

__all__ = ["Histories"]


class _GroupHistory:
    """The messages of one group that are kept.

    Attributes:
        newest: The number of the newest message; 0 if there was none.
        messages: The messages, each with the time when it is too old. Their numbers are
            consecutive, and the last one is `newest`.
        used: The time of the last use.
    """

    __slots__ = ("_epoch", "_tag", "messages", "newest", "used")

    def __init__(self, group: str) -> None:
        self._tag = group_tag(group)
        self._epoch = new_epoch()
        self.newest = 0
        self.messages: deque[tuple[float, MakeCopy]] = deque()
        self.used = -inf

    def position(self) -> str:
        """Return the newest position."""
        return format_position(self._tag, self._epoch, self.newest)

    def trim(self, now: float) -> None:
        """Drop the messages that are too old."""
        while self.messages and self.messages[0][0] <= now:
            self.messages.popleft()

    def count_after(self, position: object) -> int | None:
        """Return how many messages came after a position; None if not all of them are kept."""
        parsed = parse_position(position)
        if parsed is None or (parsed.tag, parsed.epoch) != (self._tag, self._epoch):
            return None
        count = self.newest - parsed.number
        return count if 0 <= count <= len(self.messages) else None


class Histories:
    """The histories of the groups of one store.

    A group whose messages are all too old keeps its numbering as long as it has members, and for
    one `group_expiry` after its last use. So a client that was away does not find a new numbering
    although nothing was sent.
    """

    def __init__(self, store: Store, group_expiry: Callable[[], float]) -> None:
        """Start with no history.

        Args:
            store: Holds the groups; it settles and clears this object from now on.
            group_expiry: Tells the seconds that a membership lasts.
        """
        self._store = store
        self._group_expiry = group_expiry
        self._histories: dict[str, _GroupHistory] = {}
        # When to look at each history for what is too old.
        self._checks: Timetable[str] = Timetable()
        store.attach(self)

    def send(
        self,
        group: str,
        limits: HistoryLimits,
        make: MakeCopy,
        excluded: Set[str],
        current_loop: object,
    ) -> int:
        """Keep a message, and put it into the channels of its group.

        Args:
            group: The group.
            limits: How much of the group is kept.
            make: Makes a copy of the message.
            excluded: The channels that get only the position.
            current_loop: The event loop that runs in this thread, or None.

        Returns:
            How many channels were full.
        """
        with self._store.operation(current_loop) as now:
            history = self._history(group, now)
            history.newest += 1
            position = history.position()
            payload = partial(_with_position, make, position)
            history.messages.append((now + limits.age, payload))
            if len(history.messages) == 1:
                self._check_at(group, now + limits.age, now)
            if len(history.messages) > limits.size:
                history.messages.popleft()
            members = self._store.groups.members.get(group, ())
            full = self._store.put_to(
                [name for name in members if name not in excluded], payload, now, current_loop
            )
            if excluded:
                told: MakeCopy = {"type": "group.position", "position": position}.copy
                left_out = [name for name in members if name in excluded]
                full += self._store.put_to(left_out, told, now, current_loop)
        return full

    def read(self, group: str, after: str | None, limit: int | None) -> History:
        """Return messages that are kept; see the layer's `group_history`."""
        with self._store.operation() as now:
            history = self._history(group, now)
            kept = len(history.messages)
            count = kept if after is None else history.count_after(after)
            start = kept - (kept if count is None else count)
            if after is None and limit is not None:
                start = max(0, kept - limit)
            stop = kept if limit is None else min(kept, start + limit)
            chosen = list(islice(history.messages, start, stop))
            position = history.position()
        return History([make() for _, make in chosen], position, count is not None)

    # Called by the store, under its lock

    def settle(self, now: float) -> float:
        """Drop what is too old, and return when to look again."""
        for group in self._checks.due(now):
            history = self._histories[group]
            history.trim(now)
            if history.messages:
                self._checks.plan(group, history.messages[0][0])
                continue
            in_use = group in self._store.groups.members
            ends = (now if in_use else history.used) + self._group_expiry()
            if ends > now:
                self._checks.plan(group, ends)
            else:
                del self._histories[group]
        return self._checks.next

    def forget(self, channel: str) -> None:
        """Do nothing: a history does not belong to a channel."""

    def clear(self) -> None:
        """Drop all histories; each begins anew, with other positions."""
        self._histories.clear()
        self._checks.clear()

    def _history(self, group: str, now: float) -> _GroupHistory:
        """Return the history of a group that is used now."""
        history = self._histories.get(group)
        if history is None:
            history = self._histories[group] = _GroupHistory(group)
            self._check_at(group, now + self._group_expiry(), now)
        history.trim(now)
        history.used = now
        return history

    def _check_at(self, group: str, time: float, now: float) -> None:
        self._checks.plan(group, time)
        self._store.plan_settling(time, now)


def _with_position(make: MakeCopy, position: str) -> dict[str, Any]:
    message = make()
    message["position"] = position
    return message
