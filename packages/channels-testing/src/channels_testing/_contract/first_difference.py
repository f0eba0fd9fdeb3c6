"""Find where two messages differ, for the text of a failing clause."""

from collections.abc import Iterable
from typing import Any

__all__ = ["first_difference"]

_SHOWN = 200


def first_difference(got: Any, expected: Any, path: str = "") -> str | None:
    """Find the first place where two values differ in type or value.

    Values of different types differ even if Python finds them equal: `True` and `1`, `1` and `1.0`.

    Args:
        got: The actual value.
        expected: The expected value.
        path: The place of both, within the values that the caller compares.

    Returns:
        The place with the expected and the actual value; None if they do not differ.
    """
    if type(got) is type(expected):
        if isinstance(expected, dict) and got.keys() == expected.keys():
            return _first_among(got, expected, expected, path)
        if isinstance(expected, list) and len(got) == len(expected):
            return _first_among(got, expected, range(len(expected)), path)
        if got == expected:
            return None
    return f"{path and f'at {path} '}expected {_shown(expected)}, got {_shown(got)}"


def _first_among(got: Any, expected: Any, keys: Iterable[Any], path: str) -> str | None:
    found = (first_difference(got[key], expected[key], f"{path}[{key!r}]") for key in keys)
    return next(filter(None, found), None)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
