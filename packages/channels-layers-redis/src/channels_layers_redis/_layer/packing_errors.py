"""Say why a message cannot be packed, by the key and the type of a value: logs show no content."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

__all__ = ["explain_packing_error"]

_Pack: TypeAlias = Callable[[dict[str, Any]], bytes]
# The place of the container, and the key or the index in it; None for the message itself. A path
# for each value would take a time that grows with the square of the depth.
_Place: TypeAlias = "tuple[_Place, str | int] | None"

_HINT: Final = "Send a plain value instead, such as str(value) or a primary key"


def explain_packing_error(message: dict[Any, Any], pack: _Pack, error: Exception) -> str:
    """Find the value because of which a message could not be packed.

    Args:
        message: The message.
        pack: What has failed to pack it.
        error: How it has failed.

    Returns:
        The place and the type of the value; the text of the error if each value can be packed, as
        in a message that contains itself.
    """
    waiting: list[tuple[object, _Place]] = [(message, None)]
    seen: set[int] = set()
    while waiting:
        value, place = waiting.pop()
        if not isinstance(value, dict | list | tuple):
            if fault := _fault(pack, {"": value}):
                return f"{_path(place)} is of type {type(value).__name__} ({fault}). {_HINT}"
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            if fault := _key_fault(pack, value):
                return f"{fault} in {_path(place)}"
            steps: list[tuple[Any, object]] = list(value.items())
        else:
            steps = list(enumerate(value))
        waiting += [(each, (place, step)) for step, each in reversed(steps)]
    return str(error)


def _key_fault(pack: _Pack, container: dict[Any, Any]) -> str | None:
    for key in container:
        if not isinstance(key, str):
            return f"a key must be a str, not {reprlib.repr(key)}"
        if fault := _fault(pack, {key: None}):
            return f"there is a key that cannot be packed ({fault})"
    return None


def _fault(pack: _Pack, message: dict[str, Any]) -> str | None:
    try:
        pack(message)
    except (TypeError, ValueError, OverflowError) as error:
        return str(error)
    return None


def _path(place: _Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f"[{step!r}]")
    return "message" + "".join(reversed(steps))
