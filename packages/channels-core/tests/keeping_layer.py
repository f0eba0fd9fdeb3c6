"""A channel layer with history, members and gaps, for the tests of consumers."""

from collections import deque
from collections.abc import Callable, Collection
from typing import Any, ClassVar

from channels_core.exceptions import MessagesMissed
from channels_core.layer_extensions import (
    History,
    HistoryLimits,
    format_position,
    group_tag,
    new_epoch,
    parse_position,
)
from channels_core.typing import ChannelMessage, Message
from fakes import LocalLayer

__all__ = ["KeepingLayer", "PushingLayer"]


class KeepingLayer(LocalLayer):
    """Keeps the messages of groups whose names begin with `room`.

    Attributes:
        size: The number of messages that are kept of a group.
        kept: The messages that are kept, by group.
        deaf: Channels that get no message, as if they were full.
        members_of: The data of the members, by group and channel.
    """

    extensions: ClassVar[list[str]] = [
        "groups",
        "flush",
        "exclude",
        "history",
        "members",
        "gaps",
    ]

    def __init__(self, size: int = 1000) -> None:
        super().__init__()
        self.size = size
        self.kept: dict[str, list[ChannelMessage]] = {}
        self.deaf: set[str] = set()
        self.members_of: dict[tuple[str, str], Any] = {}
        self._epochs: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    def history_limits(self, group: str) -> HistoryLimits | None:
        return HistoryLimits(self.size, 600) if group.startswith("room") else None

    async def group_add(self, group: str, channel: str, member: Any = None) -> None:
        await super().group_add(group, channel)
        if member is not None:
            self.members_of[group, channel] = member

    async def group_send(self, group: str, message: Message, exclude: Collection[str] = ()) -> None:
        sent = dict(message)
        if self.history_limits(group) is not None:
            sent["position"] = self._next_position(group)
            self.kept[group] = [*self.kept.get(group, []), sent][-self.size :]
        for channel in list(self.groups[group]):
            if channel in self.deaf:
                continue
            if channel not in exclude:
                self.put(channel, sent)
            elif "position" in sent:
                self.put(channel, {"type": "group.position", "position": sent["position"]})

    async def group_history(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        self._called("group_history", group)
        tag, epoch, newest = group_tag(group), self._epoch(group), self._numbers.get(group, 0)
        kept = list(self.kept.get(group, []))
        complete = True
        if after is None:
            kept = kept[len(kept) - limit :] if limit is not None else kept
        else:
            position = parse_position(after)
            known = position is not None and position[:2] == (tag, epoch)
            number = position.number if position is not None and known else -1
            complete = newest - len(kept) <= number <= newest
            if complete:
                kept = kept[len(kept) - (newest - number) :]
            kept = kept[:limit]
        return History(kept, format_position(tag, epoch, newest), complete)

    def _epoch(self, group: str) -> str:
        return self._epochs.setdefault(group, new_epoch())

    def _next_position(self, group: str) -> str:
        self._numbers[group] = self._numbers.get(group, 0) + 1
        return format_position(group_tag(group), self._epoch(group), self._numbers[group])

    def position(self, group: str, number: int) -> str:
        """Return the position of a message."""
        return format_position(group_tag(group), self._epoch(group), number)

    def forget(self, group: str, *, back_to: int | None = None) -> None:
        """Lose the history of a group, or what came after a number."""
        if back_to is None:
            del self._epochs[group]
        self._numbers[group] = back_to or 0
        self.kept[group] = self.kept[group][: back_to or 0]

    # A None in a queue stands for a gap.

    def put(self, channel: str, message: ChannelMessage | None) -> None:
        """Put a message, or a gap, into a channel."""
        queue: Any = self.queues[channel]
        queue.put_nowait(message)

    async def receive(self, channel: str) -> ChannelMessage:
        message: ChannelMessage | None = await super().receive(channel)
        if message is None:
            raise MessagesMissed
        return message


class PushingLayer(KeepingLayer):
    """The same with `listen`."""

    def __init__(self, size: int = 1000) -> None:
        super().__init__(size)
        self._waiting: dict[str, deque[ChannelMessage | None]] = {}
        self._wakes: dict[str, Callable[[], object]] = {}

    def put(self, channel: str, message: ChannelMessage | None) -> None:
        self._waiting.setdefault(channel, deque()).append(message)
        if channel in self._wakes:
            self._wakes[channel]()

    async def send(self, channel: str, message: Message) -> None:
        self._called("send", channel)
        self.put(channel, dict(message))

    async def receive(self, channel: str) -> ChannelMessage:
        raise AssertionError("listen is used instead")

    def listen(
        self, channel: str, wake: Callable[[], object]
    ) -> Callable[[], ChannelMessage | None]:
        waiting = self._waiting.setdefault(channel, deque())
        self._wakes[channel] = wake

        def take() -> ChannelMessage | None:
            if not waiting:
                return None
            message = waiting.popleft()
            if message is None:
                raise MessagesMissed
            return message

        return take
