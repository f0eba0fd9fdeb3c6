"""The database connections that the handlers of consumers open by other ways than ours.

They open them by `sync_to_async` or by Django's asynchronous ORM. Each is recorded in the
consumer's `DatabaseUsage`, through Django's signal `connection_created`. After each handler
`release` closes those that are broken or past `CONN_MAX_AGE`. The others are kept in `_kept`, and a
timer closes them when they are past it.

A connection can be closed only in the thread that opened it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Collection
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from asgiref.sync import sync_to_async
from django.db.backends.signals import connection_created

from channels_core.forks import call_in_children

if TYPE_CHECKING:
    # It would load dates and decimals.
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["DatabaseUsage", "managed", "open_in_programs_thread"]

logger: Final = logging.getLogger("django.channels.db")


class _Managed(threading.local):
    """The state of a thread.

    Attributes:
        active: Whether a `DatabaseSyncToAsync` runs there and closes its connections.
        is_unused: Whether the thread is known to have opened no connection.
        looks_up: Whether it is a thread of `look_up`, which runs nothing else.
    """

    active = False
    is_unused = False
    looks_up = False


managed: Final = _Managed()

# The usage of the consumer whose handler runs; threads that asgiref starts inherit it.
_usage: ContextVar[DatabaseUsage | None] = ContextVar("channels_database_usage", default=None)

# Connections that are still open after the handler that opened them, since CONN_MAX_AGE allows it.
# Not a WeakSet, which takes 0.2 us to find out whether it is empty, after each message.
_kept: Final[set[weakref.ref[BaseDatabaseWrapper]]] = set()

# The tasks that close connections: event loops hold their tasks weakly.
_closing: Final[set[asyncio.Task[None]]] = set()

#: Set while the thread of `sync_to_async` may have an open connection: a thread that is not for
#: lookups has opened one since that thread was found without.
open_in_programs_thread: Final = threading.Event()
open_in_programs_thread.set()


def _forget() -> None:
    # In a child process: the connections and tasks belong to its parent, which closes them.
    open_in_programs_thread.set()
    _kept.clear()
    _closing.clear()
    _usage.set(None)


call_in_children(_forget)


class DatabaseUsage:
    """The database connections that the handlers of one consumer have opened.

    Connections that open between `begin` and `end` are recorded. For a consumer that does not use a
    database, nothing is done, and no thread is entered.

    Attributes:
        opened: The connections that were opened since the last `release`.
        kept: The connections of all consumers that are still open; references to them.
    """

    kept: ClassVar[Collection[object]] = _kept

    __slots__ = ("_before", "opened")

    def __init__(self) -> None:
        # Not a list, which takes 56 bytes for each idle connection.
        self.opened: Collection[BaseDatabaseWrapper] = ()

    def begin(self) -> None:
        """Record the connections that are opened from now on, until `end`."""
        self._before = _usage.get()
        _usage.set(self)

    def end(self) -> None:
        """Stop recording."""
        _usage.set(self._before)

    @property
    def pending(self) -> bool:
        """Whether `release` may find a connection to close."""
        return bool(self.opened or _kept)

    async def release(self) -> None:
        """Close the connections that are broken or past `CONN_MAX_AGE`, and watch the others."""
        due = [connection for connection in self.opened if connection.connection is not None]
        self.opened = ()
        for connection in filter(None, [reference() for reference in list(_kept)]):
            # As Django does at the start of a request: with CONN_HEALTH_CHECKS, the next use of the
            # connection checks it.
            connection.health_check_done = False  # type: ignore[attr-defined] # not in the stubs
            if connection.errors_occurred or _past_its_age(connection):
                due.append(connection)
        if due:
            await _close(due)


def _past_its_age(connection: BaseDatabaseWrapper) -> bool:
    return connection.close_at is not None and monotonic() >= connection.close_at


async def _close(connections: Collection[BaseDatabaseWrapper]) -> None:
    """Close the connections that are broken or past their age, and keep the others for later."""
    # In the event loop's thread first: DJANGO_ALLOW_ASYNC_UNSAFE allows connections there. Then in
    # the thread of `sync_to_async`, where most connections are opened.
    elsewhere = [c for c in connections if not _close_here(c)]
    if elsewhere:
        elsewhere = await sync_to_async(lambda: [c for c in elsewhere if not _close_here(c)])()
    for connection in elsewhere:
        _kept.discard(weakref.ref(connection))
        logger.warning(
            "A database connection (%s) was opened in a thread that Channels cannot come back to; "
            "use database_sync_to_async there, so that it is closed",
            connection.alias,
        )
    loop = asyncio.get_running_loop()
    for connection in connections:
        if connection.connection is None or connection in elsewhere:
            _kept.discard(weakref.ref(connection))
        elif weakref.ref(connection) not in _kept:
            _kept.add(weakref.ref(connection, _kept.discard))
            if connection.close_at is not None:
                loop.call_later(
                    max(0.0, connection.close_at - monotonic()), _start_closing, connection
                )


def _close_here(connection: BaseDatabaseWrapper) -> bool:
    """Close a connection if it is old or broken; False if it belongs to another thread."""
    # Django records in this attribute which thread has made the connection.
    if connection._thread_ident != threading.get_ident():  # type: ignore[attr-defined] # not in the stubs
        return False
    connection.close_if_unusable_or_obsolete()
    return True


def _start_closing(connection: BaseDatabaseWrapper) -> None:
    if weakref.ref(connection) in _kept:
        _kept.discard(weakref.ref(connection))
        task = asyncio.get_running_loop().create_task(_close([connection]))
        _closing.add(task)
        task.add_done_callback(_closing.discard)


def _record(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    managed.is_unused = False
    if not managed.looks_up:
        open_in_programs_thread.set()
    usage = _usage.get()
    if usage is not None and not managed.active:
        usage.opened = (*usage.opened, connection)


connection_created.connect(_record)
