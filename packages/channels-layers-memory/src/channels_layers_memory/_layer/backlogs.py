"""Keep the messages that wait in channels until they are taken or expire."""

import heapq
from collections import deque
from collections.abc import Iterator
from math import inf
from typing import TypeAlias, final
from weakref import WeakValueDictionary

from channels_layers_memory._layer.codec import Payload

__all__ = ["Backlog", "Backlogs", "Message", "Share"]

#: When it expires, its number in the order of sending, and what it says.
Message: TypeAlias = tuple[float, int, Payload]


class Share:
    """How many messages wait in all the channels whose names are equal up to their `!`."""

    __slots__ = ("__weakref__", "held")

    def __init__(self) -> None:
        """Start with none."""
        self.held = 0


@final
class Backlog(deque[Message]):
    """The messages that wait in one channel, in the order in which they were sent.

    Who adds or takes one counts it in `share`, if there is one.
    """

    __slots__ = ("look", "share")

    def __init__(self, share: Share | None) -> None:
        """Start empty.

        Args:
            share: What the channel shares its capacity with; None if it has one of its own.
        """
        super().__init__()
        self.share = share
        #: When to look for what has expired: not after the first message does.
        self.look = inf


class Backlogs:
    """The backlogs of all channels, with the times at which to look for expired messages.

    No message is in an index of its own. A look is planned for the time when the first message
    of a backlog expires, or earlier, and stays planned when messages come and go: it then finds
    another first message, or none. Until that look an empty backlog is kept for the messages
    that will come, which spares making one for each.
    """

    def __init__(self) -> None:
        """Start with none."""
        #: By channel: those for which a look is planned.
        self.kept: dict[str, Backlog] = {}
        # A heap. What it holds beyond `kept` is passed over when its time comes.
        self._looks: list[tuple[float, str]] = []
        # By prefix, for as long as a backlog has it.
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    @property
    def due(self) -> float:
        """The time of the next look; inf if none is planned."""
        return self._looks[0][0] if self._looks else inf

    def new(self, name: str) -> Backlog:
        """Make a backlog, to be kept from its first message on."""
        prefix, mark, _ = name.partition("!")
        return Backlog(self._shares.setdefault(prefix, Share()) if mark else None)

    def plan(self, name: str, backlog: Backlog, time: float) -> None:
        """Plan to look at a backlog at a time, and keep it until then."""
        backlog.look = time
        self.kept[name] = backlog
        heapq.heappush(self._looks, (time, name))

    def expire(self, now: float) -> Iterator[tuple[str, Backlog]]:
        """Drop what has expired, and yield each channel where that was so, with its backlog."""
        while self.due <= now:
            time, name = heapq.heappop(self._looks)
            backlog = self.kept.get(name)
            if backlog is None or backlog.look != time:
                continue
            before = len(backlog)
            while backlog and backlog[0][0] <= now:
                backlog.popleft()
            expired = before - len(backlog)
            if backlog:
                self.plan(name, backlog, backlog[0][0])
            else:
                del self.kept[name]
            if expired:
                if backlog.share is not None:
                    backlog.share.held -= expired
                yield name, backlog

    def drop(self, name: str) -> None:
        """Drop a backlog with all that is in it."""
        backlog = self.kept.pop(name, None)
        if backlog is not None and backlog.share is not None:
            backlog.share.held -= len(backlog)

    def clear(self) -> None:
        """Drop them all."""
        self.kept.clear()
        self._looks.clear()
