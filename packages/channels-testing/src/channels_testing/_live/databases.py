"""Which databases a live server uses, and how its threads share one that is in memory."""

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
    "names",
    "only",
    "refuse_in_memory",
    "shared",
    "tell",
    "use",
]

# Between two looks whether another thread's transaction has ended; SQLite's own wait is alike.
_PAUSE: Final = 0.002


def names() -> dict[str, str]:
    """Return the name of each alias's database, as the tests use it at present."""
    return {alias: connections[alias].settings_dict["NAME"] for alias in connections}


# The names by alias, where a parent has told them.
_told: dict[str, str] = {}


def tell(databases: dict[str, str]) -> None:
    """Keep the names of a parent's databases, for `use`."""
    _told.update(databases)


def use() -> None:
    """Let the connections that are opened from now on lead to the databases of the tests.

    Those are the ones that the parent has told; in a process that was told none, those of the
    setting `TEST["NAME"]` of each alias that has one.
    """
    for alias in connections:
        options = connections[alias].settings_dict
        name = _told[alias] if _told else options["TEST"]["NAME"]
        if name:
            # In place: the connections of all threads are made of this dict.
            options["NAME"] = name


def in_memory(aliases: Collection[str]) -> list[BaseDatabaseWrapper]:
    """Return this thread's connections to those of the databases that SQLite has in memory."""
    return [one for one in map(connections.__getitem__, aliases) if _is_in_memory(one)]


def _is_in_memory(connection: Any) -> bool:
    return bool(connection.vendor == "sqlite" and connection.is_in_memory_db())


def refuse_in_memory(aliases: Collection[str], case: str) -> None:
    """See to it that another process can open the databases.

    Args:
        aliases: Those that the test class uses.
        case: The name of the test class.

    Raises:
        ImproperlyConfigured: One is in memory.
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
    """Tell whether this process was started by another one, and not forked."""
    return (
        multiprocessing.parent_process() is not None
        and multiprocessing.get_start_method() != "fork"
    )


def _is_file_by_settings(connection: Any) -> bool:
    """Tell whether the settings want a file for the tests' database of SQLite."""
    name = connection.settings_dict["TEST"]["NAME"]
    return bool(name) and not connection.creation.is_in_memory_db(name)


# In process with a server

_inherited: list[object] = []


def forget_inherited() -> None:
    """Open connections anew in a forked process, without closing those of its parent.

    They are kept, since a database's library may end the parent's session when they are dropped.
    """
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection)
        del connections[connection.alias]
        # Those of PostgreSQL, by alias, for all connections of the process.
        pools: dict[str, object] | None = getattr(connection, "_connection_pools", None)
        if pools:
            _inherited.append(dict(pools))
            pools.clear()


def only(allowed: Collection[str], case: str) -> None:
    """Refuse connections to databases that a test class does not name.

    Args:
        allowed: The aliases that are named by its `databases`.
        case: The name of the test class.

    Source: `django.test.SimpleTestCase`, which does so in the process of the tests.
    """
    ensure_connection = BaseDatabaseWrapper.ensure_connection

    def ensure_allowed_connection(self: BaseDatabaseWrapper) -> None:
        if self.connection is None and self.alias not in allowed and self.alias in connections:
            # Django's own error for it is one, too.
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
    """Let the threads of a server use this thread's databases, and close what they have opened.

    A database of SQLite in memory has one connection for each thread. These lock whole tables,
    and are refused at once instead of having to wait; so they are made to try again, and to read
    without a lock.

    Args:
        aliases: Those that the test class uses.

    Raises:
        ImproperlyConfigured: A database is in memory and cannot be opened by a second connection.
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

    def note(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if threading.get_ident() != caller:
            opened.append(connection)
            if _is_in_memory(connection):
                _be_patient(connection)

    connection_created.connect(note)
    try:
        for connection in own:
            connection.ensure_connection()
            _be_patient(connection)
        yield
    finally:
        connection_created.disconnect(note)
        for connection in own:
            _be_strict(connection)
        for connection in opened:
            _close(connection)


def _be_patient(connection: BaseDatabaseWrapper) -> None:
    connection.execute_wrappers.append(_try_again)
    _read_uncommitted(connection, True)


def _be_strict(connection: BaseDatabaseWrapper) -> None:
    connection.execute_wrappers.remove(_try_again)
    _read_uncommitted(connection, False)


def _read_uncommitted(connection: Any, on: bool) -> None:
    connection.connection.execute(f"PRAGMA read_uncommitted = {on:d}")


def _try_again(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Execute a statement as soon as no other thread's transaction is in its way."""
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
        # The base's: that of SQLite does not close what is in memory.
        BaseDatabaseWrapper.close(connection)
    finally:
        connection.dec_thread_sharing()
