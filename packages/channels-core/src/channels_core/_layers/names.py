"""The names of layers, channels and groups, and what is wrong with an invalid one."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "CHANNEL_NAME",
    "GROUP_NAME",
    "explain_invalid_name",
    "local_prefix",
]


class _Pattern:
    """A pattern as an attribute of a class, which is compiled when it is first used.

    To compile it takes 0.2 ms, and many processes check no name.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, layer: object | None, owner: type) -> re.Pattern[str]:
        compiled = re.compile(self._pattern, re.ASCII)
        setattr(self._owner, self._name, compiled)
        return compiled


# re.ASCII: otherwise `\d` and `\w` match digits and letters of every script, which other layers
# refuse.
GROUP_NAME: Final = _Pattern(r"^[a-zA-Z\d\-_.]+$")
CHANNEL_NAME: Final = _Pattern(r"^[a-zA-Z\d\-_.]+(\![\d\w\-_.]*)?$")


def explain_invalid_name(name: object, *, limit: int, channel: bool) -> str:
    """Return what is wrong with an invalid name.

    Args:
        name: The invalid name, of any type.
        limit: The smallest number of characters that is too many.
        channel: Whether one `!`, the mark of a process-specific channel, is allowed.
    """
    if not isinstance(name, str):
        return f"it is a {type(name).__name__}, not a str: {name!r:.100}"
    if not name:
        return "it is empty"
    if len(name) >= limit:
        return f"it has {len(name)} characters: {name!r}"
    marks = 0
    for position, character in enumerate(name):
        if channel and character == "!" and position and not marks:
            marks = 1
        elif not re.match(r"[a-zA-Z\d\-_.]", character, re.ASCII):
            return f"character {position + 1} is {character!r}: {name!r} ({len(name)} characters)"
    # A layer may have a stricter pattern than ours.
    return f"it does not match the layer's pattern: {name!r}"


def local_prefix(name: str) -> str:
    """Return a process-specific name up to and including its `!`, and any other name whole."""
    prefix, mark, _ = name.partition("!")
    return prefix + mark
