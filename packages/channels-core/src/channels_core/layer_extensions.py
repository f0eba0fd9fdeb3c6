"""What the optional extensions of channel layers share; for authors of layers.

`BaseChannelLayer` describes the methods of each extension. Here are the values that they take and
return, and the options that a layer takes for them. Each decision that the layers and the consumers
must make in the same way has its function here: which group has history, what a position looks
like, what a member may be.

Only what uses an extension loads this module.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2s
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from channels_core.exceptions import InvalidChannelLayerError

__all__ = [
    "DEAD_SUFFIX",
    "Delivery",
    "History",
    "HistoryLimits",
    "Position",
    "QueueLimits",
    "checked_exclude",
    "checked_member",
    "compile_history",
    "compile_queues",
    "find_limits",
    "format_position",
    "group_tag",
    "lacks",
    "new_epoch",
    "parse_position",
    "require_queue_name",
]


class HistoryLimits(NamedTuple):
    """How much of a group's messages is kept."""

    #: The number of messages that are kept at most.
    size: int
    #: Seconds for which a message is kept at most.
    age: float


class QueueLimits(NamedTuple):
    """How often, and after which time, a message is given again."""

    #: Seconds after which a message that was not acknowledged is given again.
    redeliver_after: float
    #: The number of attempts after which it is a dead letter.
    tries: int


class History(NamedTuple):
    """The answer of `group_history`."""

    #: The messages, in the order of sending, each with its key `position`.
    messages: list[dict[str, Any]]
    #: The newest position of the group.
    position: str
    #: Whether nothing is missing between the position that was asked for and the first
    #: of the messages.
    complete: bool


class Delivery(NamedTuple):
    """A message that has to be acknowledged."""

    #: The message.
    message: dict[str, Any]
    #: Names this attempt in `acknowledge`, `reject` and `give_back`.
    token: str
    #: How often the message was given, this time included.
    attempt: int


# The options of a layer

_Limits = TypeVar("_Limits", HistoryLimits, QueueLimits)
_Patterns: TypeAlias = list[tuple[re.Pattern[str], _Limits]]

#: What a pattern has around the name, as a glob that was compiled does, or with anchors.
_AROUND: Final = re.compile(r"^(?:\^|\\A|\(\?s:)|(?:\$|\)?\\[Zz])$")


def compile_history(option: object) -> list[tuple[re.Pattern[str], HistoryLimits]]:
    """Check and compile the option `history` of a layer.

    Args:
        option: The limits of groups whose name matches a glob (`"room.*"`) or a compiled pattern:
            `{"room.*": {"size": 200, "age": 600}}`, pairs of the two, or the result of an earlier
            call; None for no history. The first match counts.

    Raises:
        TypeError: A part is of a wrong type.
        ValueError: A limit is not positive, or the limits have other keys than `size` and `age`.
    """
    return _compile("history", option, HistoryLimits, {})


def compile_queues(option: object) -> list[tuple[re.Pattern[str], QueueLimits]]:
    """Check and compile the option `queues` of a layer.

    Args:
        option: As that of `compile_history`, for channels:
            `{"thumbnails": {"redeliver_after": 60, "tries": 3}}`; these limits are the defaults.
            A pattern with a wildcard matches no channel of dead letters; an exact name does.

    Raises:
        TypeError: A part is of a wrong type.
        ValueError: A limit is not positive, or a key of the limits is not known.
    """
    return _compile("queues", option, QueueLimits, {"redeliver_after": 60.0, "tries": 3})


def find_limits(patterns: Iterable[tuple[re.Pattern[str], _Limits]], name: str) -> _Limits | None:
    """Return the limits of the first pattern that matches the name of a group or channel.

    A pattern for queues that has a wildcard matches no channel of dead letters.
    """
    for pattern, limits in patterns:
        if pattern.match(name) and _is_meant(pattern, limits, name):
            return limits
    return None


def _is_meant(pattern: re.Pattern[str], limits: object, name: str) -> bool:
    """Return whether the limits of a pattern are meant for a name that it matches.

    If those of the queues `q*` were for `q.dead` too, a dead letter that is rejected would go on to
    `q.dead.dead`.
    """
    if isinstance(limits, HistoryLimits) or not name.endswith(DEAD_SUFFIX):
        return True
    return _is_name(pattern, name)


def _is_name(pattern: re.Pattern[str], name: str) -> bool:
    """Return whether a pattern is a name itself, without a wildcard."""
    return re.sub(r"\\(?=\W)", "", _AROUND.sub("", pattern.pattern)) == name


def _compile(
    option: str, value: object, kind: type[_Limits], defaults: Mapping[str, float]
) -> _Patterns[_Limits]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        pairs = [_pair(option, each) for each in value]
    else:
        raise TypeError(f"{option} must be a dict of limits by pattern, not {value!r}")
    return [
        (_pattern(option, key), _limits(f"{option}[{_shown(key)}]", limits, kind, defaults))
        for key, limits in pairs
    ]


def _pair(option: str, value: object) -> tuple[object, object]:
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    raise TypeError(f"{option} must have pairs of a pattern and its limits, not {value!r}")


def _pattern(option: str, key: object) -> re.Pattern[str]:
    if isinstance(key, str):
        return re.compile(fnmatch.translate(key))
    if isinstance(key, re.Pattern) and isinstance(key.pattern, str):
        return key
    raise TypeError(f"{option} must have globs or compiled patterns of text as keys, not {key!r}")


def _shown(key: object) -> str:
    return repr(key.pattern if isinstance(key, re.Pattern) else key)


def _limits(
    place: str, value: object, kind: type[_Limits], defaults: Mapping[str, float]
) -> _Limits:
    if isinstance(value, kind):
        value = value._asdict()
    expected = " and ".join(repr(field) for field in kind._fields)
    if not isinstance(value, Mapping):
        raise TypeError(f"{place} must be a dict with {expected}, not {value!r}")
    found = {**defaults, **value}
    if found.keys() != set(kind._fields):
        raise ValueError(f"{place} must have {expected}, and no other key, not {dict(value)!r}")
    for field in kind._fields:
        _require_positive(f"{place}[{field!r}]", found[field], whole=field in ("size", "tries"))
    return kind(**found)


def _require_positive(place: str, value: object, *, whole: bool) -> None:
    expected = "a positive whole number" if whole else "a positive number of seconds"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise TypeError(f"{place} must be {expected}, not {value!r}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{place} must be {expected}, not {value!r}")


# Positions

#: The number has at most 19 digits, as in a store with 64 bits: a client may send a long one.
_POSITION: Final = re.compile(r"([0-9a-f]{8})\.([0-9a-f]{8,32})\.(0|[1-9][0-9]{0,18})")


class Position(NamedTuple):
    """The parts of a message's position in the history of its group."""

    #: Names the group; see `group_tag`.
    tag: str
    #: Names the history; one that begins anew has another one.
    epoch: str
    #: The message's number, from 1; 0 stands before the first message.
    number: int


def group_tag(group: str) -> str:
    """Return the tag of a group, which keeps positions of other groups apart: 8 hex digits."""
    return blake2s(group.encode(), digest_size=4).hexdigest()


def new_epoch() -> str:
    """Return a random name for a history that begins."""
    return os.urandom(4).hex()


def format_position(tag: str, epoch: str, number: int) -> str:
    """Return a position as text, which is opaque for programs and clients."""
    return f"{tag}.{epoch}.{number}"


def parse_position(value: object) -> Position | None:
    """Return the parts of a position, or None if it is malformed: clients send positions.

    Args:
        value: Anything.
    """
    found = _POSITION.fullmatch(value) if isinstance(value, str) else None
    return Position(found[1], found[2], int(found[3])) if found else None


# Arguments

#: What the name of the channel with a queue's dead letters has after the name of the queue.
DEAD_SUFFIX: Final = ".dead"

#: The bytes that the data of a member take at most, as JSON in UTF-8.
_MEMBER_BYTES: Final = 4096


def checked_member(member: object) -> dict[str, Any]:
    """Check the data of a member, and return a deep copy.

    Args:
        member: `{"id": ..., ...}`: the id is a str or an int, the other values are those that JSON
            has. At most 4 KiB as JSON.

    Raises:
        TypeError: A part is of a wrong type.
        ValueError: The id is missing or empty, there is a key `connections` (which
            `group_members` adds), or the data are too large.
    """
    if not isinstance(member, dict):
        raise TypeError(f"A member must be a dict with an 'id', not {member!r}")
    if "id" not in member:
        raise ValueError(f"A member must have an 'id', but has the keys {list(member)!r}")
    if "connections" in member:
        raise ValueError("A member must not have a key 'connections': group_members() adds it")
    name = member["id"]
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise TypeError(f"The 'id' of a member must be a str or an int, not {name!r}")
    if name == "":
        raise ValueError("The 'id' of a member must not be empty")
    try:
        _require_json(member, "A member")
        text = json.dumps(member, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except RecursionError:
        raise ValueError("A member is nested too deeply") from None
    except ValueError as error:  # NaN, an infinite number, half of a surrogate pair
        raise ValueError(f"A member must be what JSON can hold: {error}") from None
    if size > _MEMBER_BYTES:
        raise ValueError(f"A member takes at most {_MEMBER_BYTES} bytes as JSON, not {size}")
    copied: dict[str, Any] = json.loads(text)
    return copied


def _require_json(value: object, place: str) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place} must have keys of type str, not {key!r}")
            _require_json(each, f"{place}[{key!r}]" if place.endswith("]") else f"member[{key!r}]")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _require_json(each, f"{place}[{index}]")
    elif value is not None and not isinstance(value, str | int | float):
        raise TypeError(f"{place} must be a value that JSON has, not {value!r}")


def checked_exclude(exclude: object) -> frozenset[str]:
    """Check the argument `exclude` of `group_send`: the names of the channels that get no copy.

    Raises:
        TypeError: It is a single str, or it is no collection of them.
    """
    if isinstance(exclude, str | bytes) or not isinstance(exclude, Collection):
        raise TypeError(f"exclude must be a collection of channel names, not {exclude!r}")
    for name in exclude:
        if not isinstance(name, str):
            raise TypeError(f"exclude must have channel names of type str, not {name!r}")
    return frozenset(exclude)


def require_queue_name(channel: str, limit: int) -> None:
    """Check that the dead letters of a queue have a channel with a valid name.

    Args:
        channel: The valid name of a queue, or of a channel with dead letters.
        limit: The smallest number of characters that is too many for a name.

    Raises:
        TypeError: The name is too long.
    """
    longest = limit - 1 - len(DEAD_SUFFIX)
    if len(channel) > longest and not channel.endswith(DEAD_SUFFIX):
        raise TypeError(
            f"The name of a queue must have at most {longest} characters, since its dead letters "
            f"are in the channel of that name and {DEAD_SUFFIX!r}, but it has {len(channel)}: "
            f"{channel!r}"
        )


def lacks(layer: object, extension: str, what: str) -> InvalidChannelLayerError:
    """Return the error of a call that needs an extension which the layer does not have.

    Args:
        layer: The channel layer.
        extension: The extension's name.
        what: The call, as in `"join_group(after=...)"`.
    """
    return InvalidChannelLayerError(
        f"{type(layer).__name__} has no {extension!r}, which {what} needs"
    )
