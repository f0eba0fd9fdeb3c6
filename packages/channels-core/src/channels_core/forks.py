"""Reset objects that threads and event loops share in a forked process.

A forked process has only one thread of its parent. A lock that another thread held at the fork
would never be released, and the connections and calls of the parent are not the child's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["call_in_children", "start_anew_in_children"]

_Thing = TypeVar("_Thing")

_things: Final[WeakKeyDictionary[Any, Callable[[Any], object]]] = WeakKeyDictionary()


def call_in_children(function: Callable[[], object]) -> None:
    """Register a function that each process calls which is forked from this one.

    Args:
        function: Resets the state of a module.
    """
    if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
        os.register_at_fork(after_in_child=function)


def start_anew_in_children(thing: _Thing, start_anew: Callable[[_Thing], object]) -> None:
    """Register a function that each forked process calls with an object.

    Args:
        thing: The object, of which only a weak reference is kept.
        start_anew: Makes new locks, and drops the state that is the parent's.
    """
    _things[thing] = start_anew


def _start_all_anew() -> None:
    for thing, start_anew in list(_things.items()):
        start_anew(thing)


call_in_children(_start_all_anew)
