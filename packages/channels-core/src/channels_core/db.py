"""Database work from asynchronous code, without connections that stay open behind it."""

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Collection, Coroutine
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from channels_core.forks import call_in_children

__all__ = ["DatabaseSyncToAsync", "aclose_old_connections", "database_sync_to_async"]

logger: Final = logging.getLogger("django.channels.db")

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")

# Set in threads in which a DatabaseSyncToAsync runs: what is opened there is closed there.
_managed = threading.local()

# The consumer on whose behalf code runs; threads that asgiref starts inherit it.
_usage: ContextVar["DatabaseUsage | None"] = ContextVar("channels_database_usage", default=None)

# Connections that CONN_MAX_AGE keeps open after the handler that opened them.
_kept: "weakref.WeakSet[BaseDatabaseWrapper]" = weakref.WeakSet()

# The event loop holds its tasks weakly.
_closing: set[asyncio.Task[None]] = set()


def _forget() -> None:
    # The connections and tasks of a parent process are its own to close and to end.
    _kept.clear()
    _closing.clear()
    _usage.set(None)


call_in_children(_forget)


class DatabaseSyncToAsync(SyncToAsync[_P, _R]):
    """`sync_to_async` that closes the thread's old database connections before and after.

    Within a transaction of the calling thread, such as a `TestCase` has around each test, nothing
    is closed.
    """

    if TYPE_CHECKING:
        # As a method's decorator: asgiref's own typing leaves `self` among the parameters.
        def __get__(
            self: "DatabaseSyncToAsync[Concatenate[Any, _Q], _R]", parent: Any, objtype: Any
        ) -> Callable[_Q, Coroutine[Any, Any, _R]]: ...

    def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the function in its thread.

        Args:
            loop: The event loop that waits for the result.
            args: As `SyncToAsync` passes them on; they are its own affair.
            kwargs: Likewise.

        Source: `asgiref.sync.SyncToAsync.thread_handler`.
        """
        _close_old_connections()
        outer = getattr(_managed, "active", False)
        _managed.active = True
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call] # asgiref's
        finally:
            _managed.active = outer
            _close_old_connections()


# The class itself, as programs expect: it decorates a function, or takes options as well.
database_sync_to_async = DatabaseSyncToAsync


async def aclose_old_connections() -> None:
    """Close the connections that are past `CONN_MAX_AGE` or broken, in the thread that owns them.

    Consumers do so by themselves; this is for long-running code outside of them.

    Source: `django.db.close_old_connections`.
    """
    await sync_to_async(_close_old_connections)()


def _close_old_connections() -> None:
    # Django takes a connection in a transaction for one that was left behind, and closes it.
    if not any(one.in_atomic_block for one in connections.all(initialized_only=True)):
        close_old_connections()


class DatabaseUsage:
    """The database connections that one consumer's code has opened, as Django tells of them.

    A consumer that opens none costs nothing and enters no thread.
    """

    def __init__(self) -> None:
        self.opened: list[BaseDatabaseWrapper] = []

    def __enter__(self) -> Self:
        """Count what is opened in this context to this usage."""
        self._token = _usage.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the context as it was."""
        _usage.reset(self._token)
        # It holds the context, which may hold us.
        del self._token

    @property
    def pending(self) -> bool:
        """Whether `release` may have something to do."""
        return bool(self.opened or _kept)

    async def release(self) -> None:
        """Close what was opened and is past `CONN_MAX_AGE`, and keep watch over the rest."""
        due = [connection for connection in self.opened if connection.connection is not None]
        self.opened.clear()
        for connection in list(_kept):
            # As Django does at the start of a request; it costs no query by itself.
            connection.health_check_done = False  # type: ignore[attr-defined] # not in the stubs
            if connection.errors_occurred or _past_its_age(connection):
                due.append(connection)
        if due:
            await _close(due)


def _past_its_age(connection: BaseDatabaseWrapper) -> bool:
    return connection.close_at is not None and monotonic() >= connection.close_at


async def _close(connections: Collection[BaseDatabaseWrapper]) -> None:
    # With DJANGO_ALLOW_ASYNC_UNSAFE a connection may belong to the event loop's thread.
    elsewhere = [c for c in connections if not _close_here(c)]
    if elsewhere:
        elsewhere = await sync_to_async(lambda: [c for c in elsewhere if not _close_here(c)])()
    for connection in elsewhere:
        _kept.discard(connection)
        logger.warning(
            "A database connection (%s) was opened in a thread that Channels cannot come back to; "
            "use database_sync_to_async there, so that it is closed",
            connection.alias,
        )
    loop = asyncio.get_running_loop()
    for connection in connections:
        if connection.connection is None or connection in elsewhere:
            _kept.discard(connection)
        elif connection not in _kept:
            _kept.add(connection)
            if connection.close_at is not None:
                loop.call_later(
                    max(0.0, connection.close_at - monotonic()), _start_closing, connection
                )


def _close_here(connection: BaseDatabaseWrapper) -> bool:
    """Close a connection of this thread if it is old or broken; False if it is another's."""
    # Django's own mark of the thread that a connection belongs to.
    if connection._thread_ident != threading.get_ident():  # type: ignore[attr-defined] # not in the stubs
        return False
    connection.close_if_unusable_or_obsolete()
    return True


def _start_closing(connection: BaseDatabaseWrapper) -> None:
    if connection in _kept:
        _kept.discard(connection)
        task = asyncio.get_running_loop().create_task(_close([connection]))
        _closing.add(task)
        task.add_done_callback(_closing.discard)


def _note(*, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    usage = _usage.get()
    if usage is not None and not getattr(_managed, "active", False):
        usage.opened.append(connection)


connection_created.connect(_note)
