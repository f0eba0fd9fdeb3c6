"""Let what threads and event loops share start anew in a forked process.

Such a process has one thread of its parent. Another one may have held a lock at the fork, and
nobody would ever release it; and what the parent serves, or has under way, is not the child's.
"""

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["call_in_children", "start_anew_in_children"]

_Thing = TypeVar("_Thing")

_things: Final[WeakKeyDictionary[Any, Callable[[Any], object]]] = WeakKeyDictionary()


def call_in_children(function: Callable[[], object]) -> None:
    """Have a function called in each process that is forked from this one.

    Args:
        function: What makes the state of a module anew.
    """
    if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
        os.register_at_fork(after_in_child=function)


def start_anew_in_children(thing: _Thing, start_anew: Callable[[_Thing], object]) -> None:
    """Have a function called with a thing in each process that is forked from this one.

    Args:
        thing: An object, which is not kept alive by this.
        start_anew: Makes its locks anew, and forgets what is not the child's.
    """
    _things[thing] = start_anew


def _start_all_anew() -> None:
    for thing, start_anew in list(_things.items()):
        start_anew(thing)


call_in_children(_start_all_anew)
