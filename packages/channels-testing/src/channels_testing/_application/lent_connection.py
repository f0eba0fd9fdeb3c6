"""A database connection that works within a test's transaction, and seems to have none.

A test's transaction is never committed, so what a program knows of its own connection would not
hold in it: `on_commit` callbacks would wait for ever, and one failed statement would break all that
follow. What is lent has Django's state to itself, and shares what is below: the program's
transactions are savepoints in that of the test, and so are its statements outside of them.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, SupportsIndex, cast

from django.db import InterfaceError
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["LentConnection", "lend", "others_cannot_pass", "when_the_test_ends"]

# There is at most one at a time: the program's transaction, or its statement outside of one.
_POINT: Final = "channels_lent"

# The names of Django's savepoints have a number. Those of the test count from one.
_FIRST_NUMBER: Final = 1_000_000


class LentConnection(BaseDatabaseWrapper):
    """What all lent connections add to the wrapper of their database; `lend` makes them."""

    def share(self, owner: BaseDatabaseWrapper) -> None:
        """Work on the connection of another wrapper from now on."""
        self.connection = owner.connection
        self.autocommit = True
        self.savepoint_state = _FIRST_NUMBER
        self.execute_wrappers.append(self._execute_apart)
        self._in_transaction = False
        self._lock = threading.RLock()

    def end(self) -> None:
        """Be of no use any more, once a statement that runs has ended."""
        with self._lock:
            self.connection = None

    def connect(self) -> None:
        """Refuse: there is a connection for as long as it is lent."""
        raise InterfaceError(
            "The test in whose transaction this code worked has ended, and the code goes on; end "
            "the application before the test ends (`async with`, or `disconnect()`)"
        )

    def close(self) -> None:
        """Leave it open: it is the test's."""

    def close_if_unusable_or_obsolete(self) -> None:
        """Leave it open: it is the test's."""

    def _execute_apart(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        """Run one statement; if it fails outside of the program's transactions, undo it alone."""
        with self._lock:
            self.ensure_connection()
            # SQLite undoes what a failed statement did by itself, and has not always finished with
            # one that returns rows.
            if self._in_transaction or self.vendor == "sqlite":
                return execute(sql, params, many, context)
            self._run(self.ops.savepoint_create_sql(_POINT))
            try:
                result = execute(sql, params, many, context)
            except BaseException:
                self._undo()
                raise
            self._run(self.ops.savepoint_commit_sql(_POINT))
            return result

    def _set_autocommit(self, autocommit: bool) -> None:
        if self._in_transaction is autocommit:
            self._finish() if autocommit else self._begin()

    def _start_transaction_under_autocommit(self) -> None:
        self._begin()

    def _commit(self) -> None:
        self._finish()
        # `set_autocommit(True)` follows, unless the program manages transactions by itself.
        self._begin()

    def _rollback(self) -> None:
        self._undo()
        self._begin()

    def _begin(self) -> None:
        self._run(self.ops.savepoint_create_sql(_POINT))
        self._in_transaction = True

    def _finish(self) -> None:
        self._in_transaction = False
        self._run(self.ops.savepoint_commit_sql(_POINT))

    def _undo(self) -> None:
        self._in_transaction = False
        self._run(self.ops.savepoint_rollback_sql(_POINT))
        self._run(self.ops.savepoint_commit_sql(_POINT))

    def _run(self, sql: str) -> None:
        """Run a statement of our own, which no wrapper and no log of the program's gets to see."""
        with self._lock:
            self.ensure_connection()
            with self.wrap_database_errors:
                _run_below(self, sql)


def lend(owner: BaseDatabaseWrapper) -> LentConnection:
    """Return a connection for this thread that works in the other one's transaction."""
    # Any database's wrapper has methods of its own, so the class is made when it is known.
    kind = type("DatabaseWrapper", (LentConnection, type(owner)), {"__module__": __name__})
    lent = cast("LentConnection", kind(owner.settings_dict, owner.alias))
    lent.share(owner)
    return lent


def others_cannot_pass(owner: BaseDatabaseWrapper) -> bool:
    """Return whether a transaction keeps something from the other connections.

    On PostgreSQL that is what it has written. On SQLite what it has only read keeps others from
    writing, so it counts too. Other databases do not tell, so they are taken to have written.

    The database itself is asked: whoever watches statements has to be there when the first runs.
    """
    if owner.needs_rollback or owner.closed_in_transaction:
        return False  # Nobody is ever going to see what is in it.
    errors: Any = owner  # not in the stubs: `Database`, the module of the database's driver
    match owner.vendor:
        case "postgresql":
            try:
                # A transaction gets a number when it first writes.
                return _run_below(owner, "SELECT txid_current_if_assigned()") != (None,)
            except errors.Database.Error:
                return False  # A statement has failed, and with it the transaction.
        case "sqlite":
            try:
                # It is refused in a transaction that has read or written, and does no harm before.
                _run_below(owner, "PRAGMA wal_checkpoint")
            except errors.Database.OperationalError:
                return True
            return False
    return True


class _Blocks(list[Any]):
    """The `atomic` blocks that a connection is in, of which Django takes the last one away."""

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


def when_the_test_ends(owner: BaseDatabaseWrapper, end: Callable[[], None]) -> None:
    """Call a function just before the test's transaction is rolled back, in the test's thread."""
    blocks = owner.atomic_blocks
    if not isinstance(blocks, _Blocks):
        blocks = owner.atomic_blocks = _Blocks(blocks)
    # Django marks those of a `TestCase`, from which pytest-django's are. A program's own do not
    # count among them; other tools for tests have one around all.
    of_tests = [block for block in blocks if getattr(block, "_from_testcase", False)]
    blocks.ends.append(((of_tests or blocks[:1])[-1], end))


def _run_below(connection: BaseDatabaseWrapper, sql: str) -> tuple[Any, ...] | None:
    """Run a statement without Django's cursor, which counts it; return its row, if there is one."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
        return row
    finally:
        cursor.close()
