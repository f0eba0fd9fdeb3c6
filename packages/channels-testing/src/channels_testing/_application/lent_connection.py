"""A database connection that works in a test's transaction, and behaves as in autocommit mode.

A test's transaction is never committed. A program that used the test's own connection would notice:
`on_commit` callbacks would wait for ever, and one failed statement would break all later ones. A
lent connection is a Django wrapper of its own, with the state of a connection in autocommit mode,
on the test's connection to the database. A transaction of the program is a savepoint in that of the
test, and so is each statement outside of a transaction.

Django does not announce the end of a test's transaction. It does remove the transaction's `atomic`
block from the list `atomic_blocks` of the connection: so that list is replaced by one that calls
functions when a block is removed (`call_at_end_of_test`).
"""

import threading
from collections.abc import Callable
from typing import Any, Final, SupportsIndex, cast

from django.db import InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["LentConnection", "call_at_end_of_test", "hides_from_others", "lend"]

# The name of our savepoint. There is at most one at a time: a transaction of the program, or a
# statement outside of a transaction.
_SAVEPOINT: Final = "channels_lent"

# Django numbers the names of savepoints, and those of the test count from one.
_FIRST_NUMBER: Final = 1_000_000


class LentConnection(BaseDatabaseWrapper):
    """The methods that a lent connection adds to the wrapper of its database; see `lend`."""

    def share(self, owner: BaseDatabaseWrapper) -> None:
        """Work on the connection of another wrapper from now on."""
        self.connection = owner.connection
        self.autocommit = True
        self.savepoint_state = _FIRST_NUMBER
        self.execute_wrappers.append(self._execute_in_savepoint)
        self._in_transaction = False
        self._lock = threading.RLock()

    def end(self) -> None:
        """Refuse all further statements, once one that runs has ended."""
        with self._lock:
            self.connection = None

    def connect(self) -> None:
        """Refuse, since the connection is no longer lent."""
        raise InterfaceError(
            "This code worked in the transaction of a test, and goes on although the test has "
            "ended; end the application before the test ends (`async with`, or `disconnect()`)"
        )

    def close(self) -> None:
        """Leave it open: it is the test's."""

    def close_if_unusable_or_obsolete(self) -> None:
        """Leave it open: it is the test's."""

    def _execute_in_savepoint(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Run one statement; if it fails outside of a transaction, undo this statement only."""
        with self._lock:
            self.ensure_connection()
            # SQLite undoes a failed statement by itself; and one that returns rows may still be
            # running, which prevents the release of a savepoint.
            if self._in_transaction or self.vendor == "sqlite":
                return execute(sql, params, many, context)
            self._run(self.ops.savepoint_create_sql(_SAVEPOINT))
            try:
                result = execute(sql, params, many, context)
            except BaseException:
                self._undo()
                raise
            self._run(self.ops.savepoint_commit_sql(_SAVEPOINT))
            return result

    def _set_autocommit(self, autocommit: bool) -> None:
        if self._in_transaction is autocommit:
            self._finish() if autocommit else self._begin()

    def _start_transaction_under_autocommit(self) -> None:
        self._begin()

    def _commit(self) -> None:
        self._finish()
        # Django then calls `set_autocommit(True)`, unless the program manages transactions itself.
        self._begin()

    def _rollback(self) -> None:
        self._undo()
        self._begin()

    def _begin(self) -> None:
        self._run(self.ops.savepoint_create_sql(_SAVEPOINT))
        self._in_transaction = True

    def _finish(self) -> None:
        self._in_transaction = False
        self._run(self.ops.savepoint_commit_sql(_SAVEPOINT))

    def _undo(self) -> None:
        self._in_transaction = False
        self._run(self.ops.savepoint_rollback_sql(_SAVEPOINT))
        self._run(self.ops.savepoint_commit_sql(_SAVEPOINT))

    def _run(self, sql: str) -> None:
        """Run a statement of our own, hidden from the program's query log and wrappers."""
        with self._lock:
            self.ensure_connection()
            with self.wrap_database_errors:
                _run_in_driver(self, sql)


def lend(owner: BaseDatabaseWrapper) -> LentConnection:
    """Return a connection for this thread that works in the transaction of `owner`."""
    # The wrapper of each database is another class, so this one can only be made now.
    kind = type("DatabaseWrapper", (LentConnection, type(owner)), {"__module__": __name__})
    lent = cast("LentConnection", kind(owner.settings_dict, owner.alias))
    lent.share(owner)
    return lent


def hides_from_others(owner: BaseDatabaseWrapper) -> bool:
    """Return whether other connections cannot see, or must wait for, what a transaction has done.

    On PostgreSQL this is so once it has written. On SQLite a transaction that has only read also
    keeps others from writing. Other databases do not tell, so the answer is True for them.

    The database itself is asked, since statements cannot be observed before anybody listens.
    """
    if owner.needs_rollback or owner.closed_in_transaction:
        return False  # It will be rolled back, so what it did does not count.
    errors: Any = owner  # not in the stubs: `Database`, the module of the database's driver
    match owner.vendor:
        case "postgresql":
            try:
                # A transaction gets its number when it first writes.
                return _run_in_driver(owner, "SELECT txid_current_if_assigned()") != (None,)
            except errors.Database.Error:
                return False  # A statement has failed, which fails the transaction.
        case "sqlite":
            try:
                # SQLite rejects it in a transaction that has read or written; else it is harmless.
                _run_in_driver(owner, "PRAGMA wal_checkpoint")
            except errors.Database.OperationalError:
                return True
            return False
    return True


class _ObservedBlocks(list[Any]):
    """The `atomic` blocks that a connection is in; calls functions when Django removes a block.

    Attributes:
        ends: The functions, each with its block.
    """

    def __init__(self, blocks: list[Any]) -> None:
        super().__init__(blocks)
        self.ends: list[tuple[Any, Callable[[], None]]] = []

    def pop(self, index: SupportsIndex = -1) -> Any:
        popped = super().pop(index)
        due = [end for block, end in self.ends if block is popped]
        self.ends = [one for one in self.ends if one[0] is not popped]
        for end in due:
            end()
        return popped


def call_at_end_of_test(owner: BaseDatabaseWrapper, end: Callable[[], None]) -> None:
    """Call a function in the test's thread just before the test's transaction is rolled back."""
    blocks = owner.atomic_blocks
    if not isinstance(blocks, _ObservedBlocks):
        blocks = owner.atomic_blocks = _ObservedBlocks(blocks)
    # Django marks the blocks of a `TestCase`, which pytest-django uses as well. With other test
    # tools the outermost block is the test's.
    of_tests = [block for block in blocks if getattr(block, "_from_testcase", False)]
    blocks.ends.append(((of_tests or blocks[:1])[-1], end))


def _run_in_driver(connection: BaseDatabaseWrapper, sql: str) -> tuple[Any, ...] | None:
    """Run a statement below Django, which would record it; return its row, or None."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
        return row
    finally:
        cursor.close()
