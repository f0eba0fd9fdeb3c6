"""Decide which databases a live server uses, and let its threads share one that is in memory.

A server in a process opens the databases of the tests by their names, which is impossible for one
in memory. A server in a thread uses the databases of the test's process.
"""

import multiprocessing
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

__all__ = [
    "forget_inherited",
    "in_memory",
    "names_in_use",
    "record_names",
    "refuse_in_memory",
    "refuse_other_than",
    "shared",
    "use_test_databases",
]

# Seconds between two attempts while another thread's transaction holds a lock; SQLite itself waits
# about as long.
_PAUSE: Final = 0.002


def names_in_use() -> dict[str, str]:
    """Return the name of the database that the tests use at present, by alias."""
    return {alias: connections[alias].settings_dict["NAME"] for alias in connections}


# The names by alias that the parent has passed; empty in the test's own process.
_names_from_parent: dict[str, str] = {}


def record_names(databases: dict[str, str]) -> None:
    """Record the names of the parent's databases, for `use_test_databases`."""
    _names_from_parent.update(databases)


def use_test_databases() -> None:
    """Let connections that are opened from now on use the databases of the tests.

    Their names are those that the parent has passed. Without a parent, each alias that has a
    setting `TEST["NAME"]` uses that.
    """
    for alias in connections:
        options = connections[alias].settings_dict
        name = _names_from_parent[alias] if _names_from_parent else options["TEST"]["NAME"]
        if name:
            # Changed in place: the connections of all threads are made from this dict.
            options["NAME"] = name


def in_memory(aliases: Collection[str]) -> list[BaseDatabaseWrapper]:
    """Return this thread's connections to databases that SQLite keeps in memory."""
    return [one for one in map(connections.__getitem__, aliases) if _is_in_memory(one)]


def _is_in_memory(connection: Any) -> bool:
    return bool(connection.vendor == "sqlite" and connection.is_in_memory_db())


def refuse_in_memory(aliases: Collection[str], case: str) -> None:
    """Check that another process can open the databases.

    Args:
        aliases: The aliases that the test class uses.
        case: The name of the test class.

    Raises:
        ImproperlyConfigured: A database is in memory.
    """
    found = sorted(in_memory(aliases), key=lambda connection: connection.alias)
    if not found:
        return
    why = (
        f"{case} serves from a process of its own, which cannot see a database of SQLite in "
        "this one's memory."
    )
    thread = (
        "set serve_in_thread = True on the class, which then serves from a thread of this process"
    )
    if _is_started_anew() or any(map(_is_file_by_settings, found)):
        raise ImproperlyConfigured(
            f"{why} Django's parallel tests copy it there where their processes are not forked, "
            f"whatever {_settings(found)} says. Run these tests without --parallel, or {thread}"
        )
    raise ImproperlyConfigured(f"{why} Set {_settings(found)} to the path of a file, or {thread}")


def _settings(found: Collection[BaseDatabaseWrapper]) -> str:
    return " and ".join(f'DATABASES["{one.alias}"]["TEST"]["NAME"]' for one in found)


def _is_started_anew() -> bool:
    """Return whether this process was started anew by another one, and not forked."""
    return (
        multiprocessing.parent_process() is not None
        and multiprocessing.get_start_method() != "fork"
    )


def _is_file_by_settings(connection: Any) -> bool:
    """Return whether the settings ask for a file for the tests' SQLite database."""
    name = connection.settings_dict["TEST"]["NAME"]
    return bool(name) and not connection.creation.is_in_memory_db(name)


# In a process that serves

# Connections of the parent, which must not be garbage collected; see below.
_inherited: list[object] = []


def forget_inherited() -> None:
    """Let a forked process open connections of its own, without closing those of its parent.

    The inherited ones are kept: a database's library may end the parent's session when they are
    garbage collected.
    """
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection)
        del connections[connection.alias]
        # PostgreSQL's pools, by alias, which all connections of the process share.
        pools: dict[str, object] | None = getattr(connection, "_connection_pools", None)
        if pools:
            _inherited.append(dict(pools))
            pools.clear()


def refuse_other_than(allowed: Collection[str], case: str) -> None:
    """Refuse connections to databases that a test class does not name.

    Args:
        allowed: The aliases in the `databases` of the class.
        case: The name of the test class.

    Source: `django.test.SimpleTestCase`, which does the same in the process of the tests.
    """
    ensure_connection = BaseDatabaseWrapper.ensure_connection

    def ensure_allowed_connection(self: BaseDatabaseWrapper) -> None:
        if self.connection is None and self.alias not in allowed and self.alias in connections:
            # Django raises an AssertionError for this, too.
            raise AssertionError(
                f"The live server of {case} may not use the database {self.alias!r}, which need "
                f"not be one for tests: add {self.alias!r} to {case}.databases"
            )
        ensure_connection(self)

    wrapper: Any = BaseDatabaseWrapper
    wrapper.ensure_connection = ensure_allowed_connection


# In the test's own process


@contextmanager
def shared(aliases: Collection[str]) -> Iterator[None]:
    """Let a server's threads use this thread's databases; close their connections at the end.

    Each thread has its own connection to an SQLite database in memory. Such connections lock whole
    tables, and SQLite rejects a statement at once instead of waiting for the lock. So statements
    are tried again, and read without a lock.

    Args:
        aliases: The aliases that the test class uses.

    Raises:
        ImproperlyConfigured: A database is in memory and allows only one connection.
    """
    own = in_memory(aliases)
    for connection in own:
        if "cache=shared" not in str(connection.settings_dict["NAME"]):
            raise ImproperlyConfigured(
                f"The database {connection.alias!r} is in the memory of one connection: leave "
                'TEST["NAME"] out, so that Django makes one which other threads can open'
            )
    opened: list[BaseDatabaseWrapper] = []
    caller = threading.get_ident()

    def record(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if threading.get_ident() != caller:
            opened.append(connection)
            if _is_in_memory(connection):
                _wait_for_locks(connection)

    connection_created.connect(record)
    try:
        for connection in own:
            connection.ensure_connection()
            _wait_for_locks(connection)
        yield
    finally:
        connection_created.disconnect(record)
        for connection in own:
            _stop_waiting_for_locks(connection)
        for connection in opened:
            _close(connection)


def _wait_for_locks(connection: BaseDatabaseWrapper) -> None:
    connection.execute_wrappers.append(_try_again)
    _read_uncommitted(connection, True)


def _stop_waiting_for_locks(connection: BaseDatabaseWrapper) -> None:
    connection.execute_wrappers.remove(_try_again)
    _read_uncommitted(connection, False)


def _read_uncommitted(connection: Any, on: bool) -> None:
    connection.connection.execute(f"PRAGMA read_uncommitted = {on:d}")


def _try_again(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Execute a statement; try again while another thread's transaction holds a lock."""
    options = context["connection"].settings_dict["OPTIONS"]
    deadline = time.monotonic() + options.get("timeout", 5.0)
    while True:
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _close(connection: BaseDatabaseWrapper) -> None:
    """Close a connection of another thread, which no longer uses it."""
    if _try_again in connection.execute_wrappers:
        connection.execute_wrappers.remove(_try_again)
    connection.inc_thread_sharing()
    try:
        # The base's method: that of SQLite does not close a database in memory.
        BaseDatabaseWrapper.close(connection)
    finally:
        connection.dec_thread_sharing()
