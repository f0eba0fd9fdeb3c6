"""Keep the messages that wait in channels until they are taken or expire."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from math import inf
from typing import Final, TypeAlias, final
from weakref import WeakValueDictionary

from channels_layers_memory._layer.codec import Payload

__all__ = ["Backlog", "Backlogs", "Message", "SharedCapacity"]

#: So many checks of backlogs that have been dropped may stay planned.
_SPARE_CHECKS: Final = 100

#: The time when it expires, its number in the order of sending, and its content.
Message: TypeAlias = tuple[float, int, Payload]


class SharedCapacity:
    """Counts the messages in all channels whose names are equal up to their `!`."""

    __slots__ = ("__weakref__", "used")

    def __init__(self) -> None:
        """Start with no message."""
        self.used = 0


@final
class Backlog(deque[Message]):
    """The messages that wait in one channel, in the order in which they were sent.

    Code that adds or takes a message also counts it in `shared`.
    """

    __slots__ = ("next_check", "shared")

    def __init__(self, shared: SharedCapacity | None) -> None:
        """Start empty.

        Args:
            shared: Counts the messages of the channels that share a capacity with this one; None
                if the channel has a capacity of its own.
        """
        super().__init__()
        self.shared = shared
        #: The time of the next check for expired messages, which is never later than the time when
        #: the first message expires.
        self.next_check = inf


class Backlogs:
    """The backlogs of all channels, and the times at which to check them for expired messages.

    Messages are not indexed one by one: each backlog has at most one check planned, at the time
    when its first message expires, or earlier. The check stays planned when messages come and go;
    if it finds nothing expired, the next one is planned. Until its check an empty backlog is kept
    for the messages to come, which saves making a new one for each.
    """

    def __init__(self) -> None:
        """Start with no backlog."""
        #: By channel: the backlogs for which a check is planned, or whose messages never expire.
        self.kept: dict[str, Backlog] = {}
        # A heap of times and channels. Entries whose backlog has been dropped, or has another
        # `next_check` by now, are skipped when their time comes, and left out when they are many.
        self._checks: list[tuple[float, str]] = []
        # By prefix, for as long as a backlog refers to it.
        self._shared: WeakValueDictionary[str, SharedCapacity] = WeakValueDictionary()

    @property
    def next_check(self) -> float:
        """The time of the next check; inf if none is planned."""
        return self._checks[0][0] if self._checks else inf

    def new(self, name: str) -> Backlog:
        """Make a backlog, which is kept once its first check is planned."""
        prefix, mark, _ = name.partition("!")
        return Backlog(self._shared.setdefault(prefix, SharedCapacity()) if mark else None)

    def keep(self, name: str) -> Backlog:
        """Return the backlog of a channel whose messages never expire; it is kept from now on."""
        backlog = self.kept.get(name)
        if backlog is None:
            backlog = self.kept[name] = self.new(name)
        return backlog

    def plan_check(self, name: str, backlog: Backlog, time: float) -> None:
        """Plan to check a backlog at a time, and keep it until then."""
        backlog.next_check = time
        self.kept[name] = backlog
        heapq.heappush(self._checks, (time, name))

    def expire(self, now: float) -> Iterator[tuple[str, Backlog]]:
        """Drop expired messages, and yield each channel that had some, with its backlog."""
        while self.next_check <= now:
            time, name = heapq.heappop(self._checks)
            backlog = self.kept.get(name)
            if backlog is None or backlog.next_check != time:
                continue
            before = len(backlog)
            while backlog and backlog[0][0] <= now:
                backlog.popleft()
            expired = before - len(backlog)
            if backlog:
                self.plan_check(name, backlog, backlog[0][0])
            else:
                del self.kept[name]
            if expired:
                if backlog.shared is not None:
                    backlog.shared.used -= expired
                yield name, backlog

    def drop(self, name: str) -> None:
        """Drop a backlog and its messages."""
        backlog = self.kept.pop(name, None)
        if backlog is not None and backlog.shared is not None:
            backlog.shared.used -= len(backlog)
        # Connections that come and go would leave their entries until the messages' expiry.
        if len(self._checks) > 2 * len(self.kept) + _SPARE_CHECKS:
            self._leave_out_dropped()

    def _leave_out_dropped(self) -> None:
        """Forget the checks of backlogs that have been dropped, or have another check by now."""
        planned = {name: backlog.next_check for name, backlog in self.kept.items()}
        self._checks = [check for check in self._checks if planned.get(check[1]) == check[0]]
        heapq.heapify(self._checks)

    def clear(self) -> None:
        """Drop all backlogs."""
        self.kept.clear()
        self._checks.clear()
