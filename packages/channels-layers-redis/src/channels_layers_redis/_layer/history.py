"""The groups whose last messages are kept, and what is asked of Redis for them."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from channels_core.layer_extensions import (
    History,
    HistoryLimits,
    compile_history,
    find_limits,
    format_position,
    group_tag,
    new_epoch,
    parse_position,
)
from channels_layers_redis._layer.codec import Body
from channels_layers_redis._layer.envelopes import history_head
from channels_layers_redis._scripts import history

if TYPE_CHECKING:
    from collections.abc import Mapping

    from channels_layers_redis._layer.addresses import Addresses
    from channels_layers_redis._layer.codec import Codec
    from channels_layers_redis._layer.dropped_messages import DroppedMessages
    from channels_layers_redis._scripts.calls import Call
    from channels_layers_redis._scripts.history import Kept, Sent
    from channels_layers_redis._scripts.keys import Keys

__all__ = ["Histories", "Read"]

# How many groups the limits are remembered of.
_REMEMBERED = 10_000

# Seconds for which the numbers go on in a group that is not used. A client that was away for longer
# is told that it may have missed messages.
_NUMBERING_KEPT = 86400
#: The most messages that are asked for: more than any history has.
_MOST = 2**31

# A position that no history knows.
_UNKNOWN = ("", 0)


class Read(NamedTuple):
    """What was read of a history, for one or many readers.

    Attributes:
        bodies: The messages.
        position: The newest position of the group.
        complete: Whether nothing is missing before the first of the messages.
    """

    bodies: list[Body]
    position: str
    complete: bool


class Histories:
    """The histories of the groups of one layer."""

    def __init__(
        self,
        option: object,
        *,
        keys: Keys,
        addresses: Addresses,
        codec: Codec,
        dropped: DroppedMessages,
    ) -> None:
        """Take the option `history`.

        Args:
            option: The limits by pattern; see `compile_history`.
            keys: The names of the keys.
            addresses: Where processes listen.
            codec: Packs and unpacks messages.
            dropped: Counts messages that cannot be read.

        Raises:
            TypeError: A part of the option is of a wrong type.
            ValueError: A limit is not valid.
        """
        self.patterns = compile_history(option)
        self._find = lru_cache(_REMEMBERED)(partial(find_limits, self.patterns))
        self._keys = keys
        self._addresses = addresses
        self._codec = codec
        self._dropped = dropped

    def limits(self, group: str) -> HistoryLimits | None:
        """Return how much is kept of a group's messages; None for nothing."""
        return self._find(group)

    def require_limits(self, group: str) -> HistoryLimits:
        """Return the limits of a group that must have a history.

        Raises:
            ValueError: It has none.
        """
        limits = self._find(group)
        if limits is None:
            shown = ", ".join(repr(pattern.pattern) for pattern, _ in self.patterns)
            raise ValueError(
                f"RedisChannelLayer keeps no history of group {group!r}: no pattern of its option "
                f"'history' matches that name ({shown or 'it has none'})"
            )
        return limits

    def require_no_position(self, message: Mapping[str, Any]) -> None:
        """Check that a message to a group with history has no position of its own.

        Raises:
            ValueError: It has one.
        """
        if "position" in message:
            raise ValueError(
                "A message to a group with history must not have a key 'position', which the layer "
                f"adds; it is {message['position']!r:.100}"
            )

    def send(
        self, group: str, body: bytes, exclude: frozenset[str], limits: HistoryLimits
    ) -> Call[Sent]:
        """Return the call that keeps and publishes a message."""
        return history.send(
            self._keys,
            group,
            body,
            head=history_head(exclude),
            to=self._addresses.group(group),
            epoch=new_epoch(),
            size=limits.size,
            age=limits.age,
            keep=_NUMBERING_KEPT,
        )

    def read(self, group: str, after: str | None, limit: int | None) -> Call[Kept]:
        """Return the call that reads a history.

        Raises:
            TypeError: The limit is not an int.
            ValueError: The group has none, or the limit is negative.
        """
        limits = self.require_limits(group)
        if limit is not None:
            limit = _checked(limit)
        place: tuple[str, int] | None = None
        if after is not None:
            position = parse_position(after)
            known = position is not None and position.tag == group_tag(group)
            place = (position.epoch, position.number) if position and known else _UNKNOWN
        return history.read(
            self._keys,
            group,
            after=place,
            limit=limit,
            epoch=new_epoch(),
            age=limits.age,
            keep=_NUMBERING_KEPT,
        )

    def place(self, group: str, kept: Kept) -> Read:
        """Return what Redis has answered, with the positions."""
        tag, epoch, codec = group_tag(group), kept.epoch, self._codec
        bodies = [
            Body(codec, body, format_position(tag, epoch, number))
            for number, body in enumerate(kept.messages, kept.first)
        ]
        return Read(bodies, format_position(tag, epoch, kept.number), kept.complete)

    def answer(self, read: Read) -> History:
        """Return what `group_history` returns, with messages of its own."""
        messages: list[dict[str, Any]] = []
        for body in read.bodies:
            try:
                messages.append(body.copy())
            except ValueError as error:
                self._dropped.add_unreadable(error)
        return History(messages, read.position, read.complete)

    def with_position(self, group: str, message: Mapping[str, Any], sent: Sent) -> bytes:
        """Return a message packed with its position, for channels that no process hears."""
        position = format_position(group_tag(group), sent.epoch, sent.number)
        return self._codec.pack({**message, "position": position})


def _checked(limit: int) -> int:
    """Return a limit that Redis can count to.

    Raises:
        TypeError: It is not an int. A client may have sent it.
        ValueError: It is negative.
    """
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be an int or None, not {limit!r:.100}")
    if limit < 0:
        raise ValueError(f"limit must not be negative, but is {limit!r}")
    return min(limit, _MOST)
