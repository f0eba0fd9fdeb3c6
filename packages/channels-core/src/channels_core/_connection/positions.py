"""Follow the groups of a connection whose messages the channel layer keeps, without a gap.

Each message to such a group has a position, and the positions of a group are consecutive. So a
connection knows the number of the last message that it has handed over, of each such group. The
mailbox takes the layer's messages through `Positions.take`, which decides by that number:

- The next one is handed over.
- One that has been handed over already is dropped.
- A later one shows that messages are missing. So do `MessagesMissed`, which the layer raises when
  it knows that it may have lost some, and a program that joins a group `after` a position. Then
  `take` raises `Behind`, and the connection calls `catch_up` in its own task, before anything else
  of the layer is handled. That asks the layer for what it has kept, and `take` returns these
  messages first, in their order. The message that has shown the gap is among them.

The last messages of a burst may be missing without a later one that shows it. So when the channel
is empty again after it was full, and the layer has dropped messages meanwhile, of this channel or
of another, the connection asks as well.

If the layer cannot be reached, the number stays as it was, and `catch_up` is tried again after a
while, and with the next message of the group.

This module is loaded when a connection first joins a group with history.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from sys import intern
from typing import Any, Final

from channels_core._connection.mailbox import Mailbox
from channels_core._layers.ongoing_outages import record_failure, record_success
from channels_core._layers.outages import is_outage
from channels_core.backoff import Backoff
from channels_core.exceptions import MessagesMissed
from channels_core.layer_extensions import (
    History,
    Position,
    format_position,
    group_tag,
    parse_position,
)
from channels_core.typing import Message

__all__ = ["Behind", "Positions"]

#: The most messages that are fetched at once.
_PAGE: Final = 200
#: Seconds to the first attempt after an outage, and the most between two attempts.
_SOON: Final = 1.0
_LONGEST: Final = 10.0
#: Stands for a position that a client has sent and nobody can read.
_UNREADABLE: Final = "unreadable"
#: Type of the message that a layer sends instead of one from which the channel is excluded.
_EXCLUDED: Final = "group.position"


class Behind(MessagesMissed):
    """Messages have to be fetched before the next one of the layer is handled."""


class _Group:
    """What is known of the messages of one group.

    Attributes:
        name: The group's name.
        epoch: The epoch of the history; "" if it is not known yet.
        first: The messages after this number, up to `last`, have been handed over.
        last: The number of the last message that was handed over.
        after: The position after which messages have to be fetched; None if none have to.
        joining: Whether the program has asked for these messages, by joining the group.
        ended_epoch: The epoch before a history that has begun anew; "" without one.
    """

    __slots__ = ("after", "ended_epoch", "epoch", "first", "joining", "last", "name")

    def __init__(self, name: str, position: Position | None) -> None:
        self.name = name
        self.epoch = "" if position is None else intern(position.epoch)
        self.first = self.last = 0 if position is None else position.number
        self.after: str | None = None
        self.joining = False
        self.ended_epoch = ""


class Positions:
    """The groups of a connection whose messages are kept.

    Attributes:
        source: Returns the layer's next message, or None; None before the mailbox listens.
        is_joining: Whether `catch_up` is fetching the messages of a group that is being joined.
    """

    __slots__ = (
        "_backoff",
        "_dropped",
        "_due",
        "_fetched",
        "_groups",
        "_in_row",
        "_layer",
        "_mailbox",
        "_timer",
        "is_joining",
        "source",
    )

    def __init__(self, mailbox: Mailbox) -> None:
        """Begin with no group, and have the mailbox take its messages through `take`."""
        self.source: Callable[[], Message | None] | None = None
        self.is_joining: bool = False
        self._mailbox = mailbox
        # By the tag of the group.
        self._groups: dict[str, _Group] = {}
        # Messages that were fetched and not taken yet; None if there are none.
        self._fetched: deque[Message] | None = None
        # Whether `take` is to raise `Behind`.
        self._due = False
        # The layer of the groups; None before the first one.
        self._layer: Any = None
        # How many messages it had dropped when that was last asked.
        self._dropped: int | None = None
        # How many messages were taken since the channel was empty.
        self._in_row = 0
        # The failures to reach the layer in a row; None before the first one.
        self._backoff: Backoff | None = None
        # Starts the next attempt after a failure.
        self._timer: asyncio.TimerHandle | None = None
        mailbox.sift(self)

    # The groups

    def follows(self, name: str) -> bool:
        """Return whether the messages of a group are followed."""
        return group_tag(name) in self._groups

    async def begin(self, layer: Any, name: str, after: object) -> None:
        """Follow a group from now on; called before the channel is added to it.

        Args:
            layer: A channel layer that keeps the messages of the group.
            name: The group's name.
            after: The position from which to go on; None to begin here.
        """
        tag = intern(group_tag(name))
        if tag in self._groups:
            return
        if self._layer is None:
            self._layer = layer
            self._dropped = getattr(layer, "dropped", None)
        if after is None:
            position = parse_position((await layer.group_history(name, limit=0)).position)
        else:
            position = parse_position(after)
            if position is not None and position.tag != tag:
                position = None
        # Another task of the program may have joined the group in the meantime.
        self._groups.setdefault(tag, _Group(name, position))

    def go_on(self, name: str, after: object) -> None:
        """Fetch the messages after a position; called when the channel is in the group."""
        group = self._groups.get(group_tag(name))
        if group is not None:  # else the program has left it in the meantime
            # Not what a client has sent, which may be of any type and length.
            group.after = str(after) if parse_position(after) is not None else _UNREADABLE
            group.joining = True
            self._wake()

    def forget(self, name: str) -> None:
        """Follow a group no more."""
        tag = group_tag(name)
        if self._groups.pop(tag, None) is None:
            return
        if self._fetched is not None:
            kept = [message for message in self._fetched if not message["position"].startswith(tag)]
            self._fetched = deque(kept) if kept else None
        if not self._groups and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def caused(self, error: MessagesMissed) -> bool:
        """Return whether `take` has raised an error, and not the layer."""
        return isinstance(error, Behind)

    def fall_behind(self) -> None:
        """Record that messages of any group may be missing."""
        for tag, group in self._groups.items():
            # One without an epoch is being joined: `go_on` follows.
            if group.after is None and group.epoch:
                group.after = format_position(tag, group.epoch, group.last)
        self._due = True

    def _wake(self) -> None:
        """Have the connection call `take`, which raises `Behind`."""
        self._due = True
        if self.source is not None:  # else the mailbox asks when it begins to listen
            self._mailbox.layer_has_message()

    # The messages

    def take(self) -> Message | None:
        """Return the next message to hand over, or None if none waits.

        Raises:
            Behind: `catch_up` has to be called first.
            Exception: That of the layer.
        """
        if self._fetched is not None:
            message = self._fetched.popleft()
            if not self._fetched:
                self._fetched = None
            return message
        if self._due:
            raise Behind
        assert self.source is not None  # the mailbox listens
        while (found := self.source()) is not None:
            self._in_row += 1
            if type(found) is not dict or "position" not in found or self._is_next(found):
                return found
        if self._in_row:
            in_row, self._in_row = self._in_row, 0
            if self._may_have_been_full(in_row):
                self.fall_behind()
                raise Behind
        return None

    def _may_have_been_full(self, in_row: int) -> bool:
        """Return whether the last messages for the channel may have been dropped."""
        layer = self._layer
        # The least of all capacities: a drop in another channel must not have every one ask.
        capacities = [limit for _, limit in getattr(layer, "channel_capacity", None) or ()]
        if in_row < min([getattr(layer, "capacity", 1), *capacities]):
            return False
        before, self._dropped = self._dropped, getattr(layer, "dropped", None)
        return self._dropped != before

    def _is_next(self, message: Message) -> bool:
        """Return whether a message of the layer is handed over."""
        position = parse_position(message["position"])
        group = None if position is None else self._groups.get(position.tag)
        if position is None or group is None:
            return True
        if position.epoch == group.ended_epoch:
            return False  # it had arrived before the history began anew
        if group.after is None:
            if position.epoch != group.epoch:
                # The store has forgotten a group in which nothing has been sent for long.
                group.ended_epoch, group.epoch = group.epoch, intern(position.epoch)
                group.first = group.last = 0
            if position.number <= group.last:
                return False
            if position.number == group.last + 1:
                group.last = position.number
                return message.get("type") != _EXCLUDED
            group.after = format_position(position.tag, group.epoch, group.last)
        # Dropped here, since it is fetched with the others.
        self._due = True
        raise Behind

    async def catch_up(self, layer: Any, tell: Callable[[str], Awaitable[bool]]) -> None:
        """Fetch the messages that are missing.

        Args:
            layer: The channel layer.
            tell: Called with the name of a group for which messages are missing that the layer has
                not kept; returns whether the connection goes on.

        Raises:
            Exception: The layer's own, unless it cannot be reached for now.
        """
        self._due = False
        for tag, group in list(self._groups.items()):
            after = group.after
            if after is None:
                continue
            try:
                history: History = await layer.group_history(group.name, after=after, limit=_PAGE)
            except Exception as error:
                if not is_outage(layer, error):
                    raise
                self._try_later(layer, error)
                return
            if self._backoff is not None and self._backoff.worked():
                record_success(layer)
            if not history.complete:
                self.is_joining = group.joining
                try:
                    if not await tell(group.name):
                        return
                finally:
                    self.is_joining = False
            if self._groups.get(tag) is not group:
                continue  # the program has left it in the meantime
            if group.after != after:
                self._due = True  # ... or asked for something else
                continue
            self._take_over(group, history)
        # Those of which more messages are to be fetched.
        self._due = self._due or any(group.after is not None for group in self._groups.values())

    def _take_over(self, group: _Group, history: History) -> None:
        """Keep the messages that were fetched for a group, and record how far they reach."""
        newest = _parts(history.position)
        if newest.epoch != group.epoch:
            group.ended_epoch, group.epoch = group.epoch, intern(newest.epoch)
            group.first = group.last = 0
        numbers = [_parts(message["position"]).number for message in history.messages]
        fresh = [
            message
            for message, number in zip(history.messages, numbers, strict=True)
            if not group.first < number <= group.last
        ]
        if fresh:
            self._fetched = deque(fresh) if self._fetched is None else self._fetched + deque(fresh)
        # From here on, to the last of them, nothing is missing.
        start = numbers[0] - 1 if numbers else newest.number
        if history.complete and (asked := parse_position(group.after)) is not None:
            start = asked.number
        reached = numbers[-1] if numbers else newest.number
        if start > group.last or newest.number < group.last:
            # There is a hole before them, or the store has gone back to an older state.
            group.first, group.last = start, reached
        else:
            if start < group.first <= reached:
                group.first = start
            group.last = max(group.last, reached)
        group.after = None
        if reached < newest.number:
            group.after = format_position(newest.tag, group.epoch, reached)
        group.joining = group.joining and group.after is not None

    def _try_later(self, layer: Any, error: Exception) -> None:
        """Have `catch_up` called again after a while, since the layer cannot be reached."""
        record_failure(layer, error)
        if self._backoff is None:
            self._backoff = Backoff(first=_SOON, longest=_LONGEST)
        seconds = self._backoff.failed()
        assert seconds is not None  # it has no limit
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)


# All connections of a group that come back at once fetch the same messages.
@lru_cache(_PAGE)
def _parts(position: str) -> Position:
    """Return the parts of a position that the layer has made."""
    parts = parse_position(position)
    if parts is None:
        raise ValueError(f"The channel layer has made the position {position!r:.100}")
    return parts
