"""Check the options of the layer: a wrong one would look like an outage of Redis later."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Any

__all__ = [
    "checked_capacities",
    "checked_keys",
    "require_boolean",
    "require_count",
    "require_one_of",
    "require_prefix",
    "require_seconds",
]


def require_one_of(option: str, value: object, expected: Collection[str]) -> None:
    """Check an option that has one of some values.

    Raises:
        ValueError: It has another one.
    """
    if value not in tuple(expected):
        raise ValueError(f"{option} must be one of {', '.join(map(repr, expected))}, not {value!r}")


def require_boolean(option: str, value: object) -> None:
    """Check an option that is on or off.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{option} must be True or False, not {value!r}")


def require_seconds(option: str, value: object, *, least: int | None = None) -> None:
    """Check an option in seconds.

    Args:
        option: Its name.
        value: Its value.
        least: The least value; if None, it must be positive.

    Raises:
        TypeError: It is not a number.
        ValueError: It is too small, or infinite.
    """
    expected = "a positive number of seconds" if least is None else f"{least} or more seconds"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option} must be {expected}, not {value!r}")
    if not (value > 0 if least is None else value >= least) or value == inf:
        raise ValueError(f"{option} must be {expected}, not {value!r}")


def require_count(option: str, value: object) -> None:
    """Check an option that is a number of messages.

    Raises:
        TypeError: It is not an int.
        ValueError: It is not positive.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} must be a positive whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{option} must be a positive whole number, not {value!r}")


def require_prefix(value: object) -> None:
    """Check the option `prefix`.

    Raises:
        TypeError: It is not a str.
        ValueError: It has a character that has a meaning in the names of keys.
    """
    if not isinstance(value, str):
        raise TypeError(f"prefix must be a str, not {value!r}")
    if any(one in value for one in " {}"):
        raise ValueError(f"prefix must have no space and no brace, but is {value!r}")


def checked_capacities(value: object) -> list[tuple[Any, int]]:
    """Return the pairs of the option `channel_capacity`.

    Raises:
        TypeError: A part is of a wrong type.
        ValueError: A capacity is not positive.
    """
    if value is None:
        return []
    if isinstance(value, Mapping):
        pairs: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        pairs = [_pair(each) for each in value]
    else:
        raise TypeError(f"channel_capacity must be a dict of capacities by pattern, not {value!r}")
    for key, capacity in pairs:
        pattern = key.pattern if isinstance(key, re.Pattern) else key
        if not isinstance(pattern, str):
            raise TypeError(
                "channel_capacity must have globs or compiled patterns of text as keys, not "
                f"{key!r}"
            )
        require_count(f"channel_capacity[{pattern!r}]", capacity)
    return pairs


def _pair(value: object) -> tuple[Any, Any]:
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    raise TypeError(f"channel_capacity must have pairs of a pattern and a capacity, not {value!r}")


def checked_keys(value: object) -> tuple[str | bytes, ...] | None:
    """Return the secrets of the option `symmetric_encryption_keys`; no error shows one.

    Raises:
        TypeError: It is a single key, or a part is of a wrong type.
        ValueError: There is no key, or an empty one.
    """
    option = "symmetric_encryption_keys"
    if value is None:
        return None
    if isinstance(value, str | bytes):
        raise TypeError(f"{option} must be a list of keys, not a single one")
    if not isinstance(value, Iterable):
        raise TypeError(f"{option} must be a list of keys, not {type(value).__name__}")
    keys = tuple(value)
    if not keys:
        raise ValueError(f"{option} must have at least one key")
    for index, key in enumerate(keys):
        if not isinstance(key, str | bytes):
            raise TypeError(
                f"{option}[{index}] must be a secret of type str or bytes, not {type(key).__name__}"
            )
        if not key:
            raise ValueError(f"{option}[{index}] must be a secret, but it is empty")
    return keys
