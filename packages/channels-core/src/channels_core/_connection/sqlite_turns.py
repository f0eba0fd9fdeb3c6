"""Let the sync handlers that use a SQLite database run one after the other.

SQLite has one writer at a time. It refuses to let a transaction write that has read what another
one has changed since, however long it may wait: "database is locked". So a handler takes its turn
with its first statement, and keeps it until it ends; handlers that do not use SQLite run side by
side. A site that sets `CHANNELS_SYNC_THREADS` has decided by itself how many run at once.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from channels_core._settings import sets_sync_threads
from channels_core.forks import call_in_children

__all__ = ["call_in_turn"]


class _State(threading.local):
    """What the present thread is doing."""

    is_handling = False
    has_turn = False


class _Turn:
    """The turn that one handler at a time has."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Make the lock; again in a child process, where the thread that holds it is missing."""
        self.lock = threading.Lock()
        self.state = _State()


_turn: Final = _Turn()


def call_in_turn(function: Callable[[], Any]) -> Any:
    """Call a handler; from its first statement to a SQLite database on, no other one has its turn.

    Args:
        function: The handler with its arguments.

    Returns:
        What it returns.
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
    state = _turn.state
    if state.is_handling and not state.has_turn and not sets_sync_threads():
        _turn.lock.acquire()
        state.has_turn = True
    return execute(sql, params, many, context)


def _watch(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    # Django has one connection for each thread, so that the others have no part in this.
    if (
        connection.vendor == "sqlite"
        and _turn.state.is_handling
        and _take_turn not in connection.execute_wrappers
    ):
        connection.execute_wrappers.append(_take_turn)


connection_created.connect(_watch)
call_in_children(_turn.renew)
