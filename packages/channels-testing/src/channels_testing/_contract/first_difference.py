"""Say where two messages differ."""

from collections.abc import Iterable
from typing import Any

__all__ = ["difference"]

_SHOWN = 200


def difference(got: Any, expected: Any, path: str = "") -> str | None:
    """Find the first place where two values differ, in a type or a value.

    Values that Python holds equal differ all the same if one of them is of another type: `True`
    and `1`, `1` and `1.0`.

    Args:
        got: What there is.
        expected: What there should be.
        path: Where they are, in the values that the text is about.

    Returns:
        The place, what was expected and what it is; None if they do not differ.
    """
    if type(got) is type(expected):
        if isinstance(expected, dict) and got.keys() == expected.keys():
            return _first(got, expected, expected, path)
        if isinstance(expected, list) and len(got) == len(expected):
            return _first(got, expected, range(len(expected)), path)
        if got == expected:
            return None
    return f"{path and f'at {path} '}expected {_shown(expected)}, got {_shown(got)}"


def _first(got: Any, expected: Any, keys: Iterable[Any], path: str) -> str | None:
    found = (difference(got[key], expected[key], f"{path}[{key!r}]") for key in keys)
    return next(filter(None, found), None)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
