"""What is published: a letter for its kind, what it is about, and a packed message.

Names of channels and groups have no space and no comma, so these separate them.

| published to | first letter | then |
|---|---|---|
| a group | `m` | the message |
| | `x` | the channels that get no copy, joined by `,`; a space; the message |
| | `h` | the message's epoch, `.`, its number, a space; the message |
| | `y` | the channels that get no copy, a space; the same |
| | `j`, `l` | the group, a space, a member that has joined, or left |
| a process | `m` | a channel, a space; the message |
| | `r` | the same; the process has kept a place for it |
| | `q` | a request: see `Request` |
| | `a` | the number of a request, a space, the error or nothing |
| all processes | `+` | a group, a space, the seconds for which it may have plain members |
| | `f` | a random word: everything is dropped |
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgpack

__all__ = [
    "NOBODY",
    "GroupMessage",
    "Request",
    "answer",
    "group_message",
    "history_head",
    "read_answer",
    "read_group_message",
]


class GroupMessage(NamedTuple):
    """What was published to a group.

    Attributes:
        body: The message, packed.
        excluded: The channels that get no copy.
        epoch_and_number: Its place in the history; None without history.
    """

    body: bytes
    excluded: frozenset[str]
    epoch_and_number: str | None


NOBODY: frozenset[str] = frozenset()


def group_message(body: bytes, exclude: Collection[str]) -> bytes:
    """Return what is published to a group without history."""
    if not exclude:
        return b"m" + body
    return b"x" + ",".join(exclude).encode() + b" " + body


def history_head(exclude: Collection[str]) -> bytes:
    """Return what comes before epoch and number in a group with history."""
    return b"y" + ",".join(exclude).encode() + b" " if exclude else b"h"


def read_group_message(data: bytes) -> GroupMessage:
    """Read what was published to a group.

    Raises:
        ValueError: It is of no known kind.
    """
    kind, rest = data[:1], data[1:]
    if kind == b"m":
        return GroupMessage(rest, NOBODY, None)
    excluded, place = NOBODY, None
    if kind in b"xy":
        names, _, rest = rest.partition(b" ")
        excluded = frozenset(names.decode().split(","))
    if kind in b"hy":
        where, _, rest = rest.partition(b" ")
        place = where.decode()
    elif kind != b"x":
        raise ValueError(f"it is of the unknown kind {kind!r}")
    return GroupMessage(rest, excluded, place)


class Request(NamedTuple):
    """What one process asks another one to do for a channel of it.

    Attributes:
        number: Names the request in its answer.
        reply_to: The address to which the answer is published, or else the key of a list to which
            it is appended.
        in_list: Whether it is a list.
        action: `add` or `discard`.
        group: The group.
        channel: The channel.
        member: The packed data of the member, if there are any.
    """

    number: str
    reply_to: str
    in_list: bool
    action: str
    group: str
    channel: str
    member: bytes | None = None

    def pack(self) -> bytes:
        """Return what is published to the process."""
        packed: bytes = msgpack.packb(list(self))
        return b"q" + packed

    @classmethod
    def read(cls, data: bytes) -> Request:
        """Read a request, without its first letter.

        Raises:
            ValueError: It is none.
        """
        try:
            return cls(*msgpack.unpackb(data))
        except Exception as error:  # msgpack's have no common base
            raise ValueError(f"it is no request: {error}") from error


def answer(number: str, error: str) -> bytes:
    """Return the answer to a request; the error is empty if it was done."""
    return f"a{number} {error}".encode()


def read_answer(data: bytes) -> tuple[str, str]:
    """Return the number of the request and the error, of an answer without its first letter."""
    number, _, error = data.decode().partition(" ")
    return number, error
