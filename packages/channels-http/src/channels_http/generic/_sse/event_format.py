"""The format of server-sent events.

Source: the HTML standard, "Server-sent events", sections 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["comment", "event"]

#: What ends a line of an event stream; no other character does.
_LINE_ENDS: Final = re.compile("\r\n|\r|\n")


def event(
    data: str | None = None,
    name: str | None = None,
    identity: str | None = None,
    retry: int | None = None,
) -> bytes:
    """Build one event.

    Args:
        data: What a page gets as `event.data`, of any number of lines; with None the page gets
            no event, but takes over the identity and the time.
        name: What a page listens to; None for `message`.
        identity: What the browser sends as `Last-Event-ID` when it connects again; an empty one
            makes it forget the last one.
        retry: Milliseconds after which a browser connects again.

    Raises:
        ValueError: A name or an identity has a line end or NUL, or the time is not an int of at
            least 0.
    """
    lines: list[str] = []
    if name is not None:
        lines.append(f"event: {_single(name, 'name')}")
    if identity is not None:
        lines.append(f"id: {_single(identity, 'id')}")
    if retry is not None:
        if type(retry) is not int or retry < 0:
            raise ValueError(f"retry is an int of milliseconds, at least 0, not {retry!r}")
        lines.append(f"retry: {retry}")
    if data is not None:
        if "\n" in data or "\r" in data:
            lines.extend(f"data: {line}" for line in _LINE_ENDS.split(data))
        else:
            # As nearly always: the expression takes 0.4 us. Added, since the str that an enum is
            # has another format.
            lines.append("data: " + data)
    lines += ("", "")  # each line ends, and an empty one follows
    return "\n".join(lines).encode()


def comment(text: str = "") -> bytes:
    """Build a comment, which keeps a connection alive and which no page sees."""
    return "".join(f": {line}\n" for line in [*_LINE_ENDS.split(text)]).encode() + b"\n"


def _single(value: str, what: str) -> str:
    given: object = value  # a program without type checks may give anything
    if not isinstance(given, str) or "\0" in value or _LINE_ENDS.search(value):
        raise ValueError(f"An event's {what} is a str of one line without NUL, not {value!r:.100}")
    return value
