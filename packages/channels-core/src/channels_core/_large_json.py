"""Decode a large JSON text without holding up the event loop.

Python's parser decodes a text in one call in C, which no other thread can interrupt: to call it in
a thread would hold up the event loop just as long. So a large text is decoded in pieces. A regular
expression finds a number of whole elements of an array or an object, Python's parser decodes these,
and other threads may run before the next piece. An element that is itself large, or deeply nested,
is decoded in the same way.

A text of very many small, deeply nested elements would take dozens of times as long in pieces as in
one call, and other large texts would wait for it. So it is decoded in one call after a number of
steps.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from itertools import repeat
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

from channels_core._json import LARGE, decode_json
from channels_core._pool import BoundedPool
from channels_core.forks import call_in_children

__all__ = ["decode_large", "decode_large_now"]

_STRING: Final = r'"(?:[^"\\]++|\\.)*+"'
#: The number of elements that may be taken apart one by one, at least and for each piece.
_STEPS: Final = 200
_STEPS_OF_PIECE: Final = 20
#: How deeply the elements of a piece may be nested. Deeper ones are taken apart one by one.
_LEVELS: Final = 6


def _container(levels: int) -> str:
    """Return the expression for an array or object.

    It is loose, since Python's parser checks each piece: the brackets need not fit to each other.
    """
    inner = f"|{_container(levels - 1)}" if levels > 1 else ""
    return rf'[\[{{](?:[^\[\]{{}}"]++|{_STRING}{inner})*+[\]}}]'


_ELEMENT: Final = rf'(?:[^\[\]{{}}",]++|{_STRING}|{_container(_LEVELS)})++'


@cache
def _elements() -> re.Pattern[str]:
    """Return the expression for whole elements, each with the comma after it.

    It is large, so it is compiled when the first large text comes.
    """
    return re.compile(rf"(?:{_ELEMENT},)++", re.DOTALL)


@cache
def _last() -> re.Pattern[str]:
    """Return the expression for the last element, and the bracket after it."""
    return re.compile(rf"(?:{_ELEMENT})?+[\]}}]", re.DOTALL)


#: A number or a word such as null.
_WORD: Final = re.compile(r"[^,\[\]{} \t\n\r]*+")
_SPACE: Final = re.compile(r"[ \t\n\r]*+")

_CLOSING: Final = {"[": "]", "{": "}"}
# Any: typeshed does not have it. Here it decodes strings only.
_decoder: Final[Any] = JSONDecoder()
_scan_string: Final = _decoder.scan_once


class _TooManyStepsError(Exception):
    """A text is faster decoded in one call."""


class _Thread:
    """The thread that decodes: one, since only one at a time runs Python code."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Make a thread; also in a forked process, which has no thread of its parent."""
        self.pool = BoundedPool(1, "channels-decode")


_thread: Final = _Thread()
call_in_children(_thread.begin)


async def decode_large(text: str) -> Any:
    """Parse a large JSON text in another thread, as `decode_json` does.

    Raises:
        ValueError: The text is not JSON.
    """
    return await asyncio.wrap_future(_thread.pool.submit(decode_large_now, text))


def decode_large_now(text: str) -> Any:
    """Parse a large JSON text in this thread, so that other threads run in between.

    Raises:
        ValueError: The text is not JSON.
    """
    start = _skip_space(text, 0)
    if text[start : start + 1] not in _CLOSING:
        return decode_json(text)
    try:
        value, end = _decode_container(text, start, _steps(len(text)))
    except (_TooManyStepsError, RecursionError):
        return decode_json(text)
    if (end := _skip_space(text, end)) != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


def _steps(length: int) -> Iterator[None]:
    yield from repeat(None, _STEPS + _STEPS_OF_PIECE * (length // LARGE))
    raise _TooManyStepsError


def _decode_container(text: str, start: int, steps: Iterator[None]) -> tuple[Any, int]:
    """Return the array or object that begins at a position, and the position after it.

    Raises:
        _TooManyStepsError: The steps are used up.
    """
    opening = text[start]
    closing = _CLOSING[opening]
    content: Any = [] if opening == "[" else {}
    position = start + 1
    while True:
        # As many elements as a piece may have.
        if found := _elements().match(text, position, position + LARGE):
            piece = _decode_piece(text, position, found.end() - 1, opening)
            if not piece:
                raise _missing(text, found.end() - 1, opening)
            _add(content, piece)
            position = found.end()
            continue
        found = _last().match(text, position, position + LARGE)
        if found and text[found.end() - 1] == closing:
            piece = _decode_piece(text, position, found.end() - 1, opening)
            if not piece and text[position - 1] == ",":
                raise _missing(text, found.end() - 1, opening)
            _add(content, piece)
            return content, found.end()
        # It is large, or deep, or not JSON.
        next(steps)
        is_first = text[position - 1] != ","
        position = _skip_space(text, position)
        if is_first and text[position : position + 1] == closing:
            return content, position + 1
        key = None
        if opening == "{":
            key, position = _decode_key(text, position)
        value, position = _decode_value(text, position, steps)
        _add(content, [value] if opening == "[" else {key: value})
        position = _skip_space(text, position)
        following = text[position : position + 1]
        if following == closing:
            return content, position + 1
        if following != ",":
            raise JSONDecodeError("Expecting ',' delimiter", text, position)
        position += 1


def _add(content: Any, piece: Any) -> None:
    if isinstance(content, list):
        content += piece
    else:
        content.update(piece)


def _decode_piece(text: str, start: int, end: int, opening: str) -> Any:
    """Decode whole elements of an array or an object."""
    try:
        return decode_json(f"{opening}{text[start:end]}{_CLOSING[opening]}")
    except JSONDecodeError as error:
        raise JSONDecodeError(error.msg, text, start + error.pos - 1) from None


def _decode_key(text: str, position: int) -> tuple[str, int]:
    if text[position : position + 1] != '"':
        raise _missing(text, position, "{")
    key, position = _scan_string(text, position)
    position = _skip_space(text, position)
    if text[position : position + 1] != ":":
        raise JSONDecodeError("Expecting ':' delimiter", text, position)
    return key, _skip_space(text, position + 1)


def _decode_value(text: str, position: int, steps: Iterator[None]) -> tuple[Any, int]:
    if text[position : position + 1] in _CLOSING:
        return _decode_container(text, position, steps)
    if text[position : position + 1] != '"':
        # A number or a word. It is short, or is not JSON, so that its end need not be sought far.
        found = _WORD.match(text, position)
        assert found is not None  # it matches nothing as well
        try:
            return decode_json(found[0]), found.end()
        except JSONDecodeError as error:
            raise JSONDecodeError(error.msg, text, position + error.pos) from None
    value, end = _scan_string(text, position)
    return value, end


def _missing(text: str, position: int, opening: str) -> JSONDecodeError:
    name = "value" if opening == "[" else "property name enclosed in double quotes"
    return JSONDecodeError(f"Expecting {name}", text, position)


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None  # it matches nothing as well
    return found.end()
