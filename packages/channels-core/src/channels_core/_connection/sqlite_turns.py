"""Run the sync handlers that use a SQLite database one after the other.

SQLite has one writer at a time. If a transaction reads a row, and another one changes it, SQLite
refuses the first one's next write with "database is locked", however long it may wait. So a handler
takes a lock, its turn, with its first SQLite statement, and keeps it until the handler returns.
Handlers that do not use SQLite run in parallel. Sites that set `CHANNELS_SYNC_THREADS` decide
themselves how many handlers run at once, and take no turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django.db.backends.signals import connection_created

from channels_core._settings import sets_sync_threads
from channels_core.forks import call_in_children

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["call_in_turn"]


class _State(threading.local):
    """The state of one thread.

    Attributes:
        is_handling: Whether a handler runs in the thread.
        has_turn: Whether the thread holds the lock.
    """

    is_handling = False
    has_turn = False


class _Turn:
    """The lock that one handler at a time holds, and the state of each thread."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Make the lock; again in a child process, since the lock's holder may not exist there."""
        self.lock = threading.Lock()
        self.state = _State()


_turn: Final = _Turn()


def call_in_turn(function: Callable[[], Any]) -> Any:
    """Call a handler, and give its turn back afterwards if its SQLite statements took one.

    Args:
        function: The handler with its arguments.

    Returns:
        The result of the handler.
    """
    state = _turn.state
    state.is_handling = True
    try:
        return function()
    finally:
        state.is_handling = False
        if state.has_turn:
            state.has_turn = False
            _turn.lock.release()


def _take_turn(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Wait for the turn before a statement of a handler; Django calls this for each statement."""
    state = _turn.state
    if state.is_handling and not state.has_turn and not sets_sync_threads():
        _turn.lock.acquire()
        state.has_turn = True
    return execute(sql, params, many, context)


def _watch(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    # Django has one connection for each thread: only handlers' threads get the wrapper.
    if (
        connection.vendor == "sqlite"
        and _turn.state.is_handling
        and _take_turn not in connection.execute_wrappers
    ):
        connection.execute_wrappers.append(_take_turn)


connection_created.connect(_watch)
call_in_children(_turn.renew)
