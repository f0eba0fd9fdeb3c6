"""Let what threads share start anew in a forked process.

Such a process has one thread of its parent. Another one may have held a lock at the fork, and
nobody would ever release it.
"""

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["StartsAnew", "start_anew_in_children"]


class StartsAnew(Protocol):
    """What is of no use in a forked process as it is."""

    def start_anew(self) -> None:
        """Be as after the constructor."""


_all: WeakSet[StartsAnew] = WeakSet()


def start_anew_in_children(thing: StartsAnew) -> None:
    """Let a thing start anew in each process that is forked from this one."""
    _all.add(thing)


def _start_all_anew() -> None:
    for thing in list(_all):
        thing.start_anew()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_start_all_anew)
