"""Database work in asynchronous code, and the closing of the connections that it opened.

Django closes a thread's old database connections before and after each HTTP request. A consumer has
no such requests, so its connections are closed in one of two ways:

- `database_sync_to_async` closes them in the thread of its call, before and after the function.
- Connections that a handler opens elsewhere, by `sync_to_async` or Django's asynchronous ORM, are
  recorded in the consumer's `DatabaseUsage`, through Django's signal `connection_created`. After
  each handler `release` closes those that are broken or past `CONN_MAX_AGE`. The others are kept
  in `_kept`, and a timer closes them when they are past it.

A connection can be closed only in the thread that opened it.

`database_sync_to_async` runs all calls in one thread, where a program's slow call holds up the
others. So whoever wants to connect does not wait there: `look_up` has a few threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Coroutine
from contextvars import ContextVar, copy_context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, ParamSpec, Self, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import close_old_connections, connections
from django.db.backends.signals import connection_created

from channels_core._asgiref import copy_variables, has_outer_thread
from channels_core._settings import call_on_change, lookup_threads
from channels_core.forks import call_in_children

if TYPE_CHECKING:
    # It would load dates and decimals.
    from django.db.backends.base.base import BaseDatabaseWrapper

    from channels_core._pool import BoundedPool

__all__ = ["DatabaseSyncToAsync", "aclose_old_connections", "database_sync_to_async", "look_up"]

logger: Final = logging.getLogger("django.channels.db")

_CLOSE_OLD_CONNECTIONS: Final = close_old_connections

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")


class _Managed(threading.local):
    """The state of a thread.

    Attributes:
        active: Whether a DatabaseSyncToAsync runs there and closes its connections.
        is_unused: Whether the thread is known to have opened no connection.
        looks_up: Whether it is a thread of `look_up`, which runs nothing else.
    """

    active = False
    is_unused = False
    looks_up = False


_managed: Final = _Managed()

# The usage of the consumer whose handler runs; threads that asgiref starts inherit it.
_usage: ContextVar[DatabaseUsage | None] = ContextVar("channels_database_usage", default=None)

# Connections that are still open after the handler that opened them, since CONN_MAX_AGE allows it.
# Not a WeakSet, which takes 0.2 us to find out whether it is empty, after each message.
_kept: Final[set[weakref.ref[BaseDatabaseWrapper]]] = set()

# Set while the thread of `sync_to_async` may have an open connection: a thread that is not for
# lookups has opened one since that thread was found without.
_open_in_programs_thread = threading.Event()
_open_in_programs_thread.set()

# The tasks that close connections: event loops hold their tasks weakly.
_closing: set[asyncio.Task[None]] = set()


class _Lookups:
    """The threads that look up; each is started when it is needed."""

    def __init__(self) -> None:
        self.forget()
        call_on_change("CHANNELS_LOOKUP_THREADS", self._drop)

    def forget(self) -> None:
        self._lock = threading.Lock()
        self._pool: BoundedPool | None = None

    def pool(self, threads: int) -> BoundedPool:
        with self._lock:
            if self._pool is None:
                from channels_core._pool import BoundedPool  # with the first lookup

                self._pool = BoundedPool(threads, "channels-lookup")
            return self._pool

    def _drop(self) -> None:
        with self._lock:
            old, self._pool = self._pool, None
        if old is not None:
            old.shutdown(wait=False)


_lookups: Final = _Lookups()


def _forget() -> None:
    # In a child process: the threads exist in its parent only, and the connections and tasks belong
    # to its parent, which closes them.
    _lookups.forget()
    _open_in_programs_thread.set()
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
            self: DatabaseSyncToAsync[Concatenate[Any, _Q], _R], parent: Any, objtype: Any
        ) -> Callable[_Q, Coroutine[Any, Any, _R]]: ...

    def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the function in its thread.

        Args:
            loop: The event loop that waits for the result.
            args: The arguments of `SyncToAsync.thread_handler`, passed on unchanged.
            kwargs: Its keyword arguments, likewise.

        Source: `asgiref.sync.SyncToAsync.thread_handler`.
        """
        _close_old_connections()
        outer = _managed.active
        _managed.active = True
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call] # asgiref's
        finally:
            _managed.active = outer
            _close_old_connections()


# The class itself, as programs expect: it decorates a function, or takes options as well.
database_sync_to_async = DatabaseSyncToAsync


_entry: Final = DatabaseSyncToAsync(lambda: None, thread_sensitive=False)


class _LookUp:
    """The call of a function in one of the threads that look up.

    It does what `sync_to_async` does: variables of the context go into the thread and come back,
    `async_to_sync` finds the event loop, and a cancellation reaches the coroutine that the thread
    waits for. That takes two futures, a shield and their callbacks (30 us); this takes one future.
    """

    __slots__ = ("_call", "_context", "_error", "_is_over", "_loop", "_result", "_tasks", "_waiter")

    def __init__(self, call: Callable[[], Any]) -> None:
        """Begin, in the task that will wait.

        Args:
            call: The function with its arguments.
        """
        # None as soon as a thread has begun it, or if none is to begin it any more.
        self._call: Callable[[], Any] | None = call
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        # The tasks of `async_to_sync` for which the thread waits; asgiref keeps the list.
        self._tasks: list[asyncio.Task[Any]] = []
        # What the task waits for.
        self._waiter: asyncio.Future[None] = self._loop.create_future()
        # Whether the thread has told of the end.
        self._is_over = False
        self._result: Any = None
        self._error: BaseException | None = None

    async def run(self, pool: BoundedPool) -> Any:
        """Call the function in a thread, and return its result.

        Raises:
            asyncio.CancelledError: The task was cancelled; the thread goes on.
        """
        pool.start(partial(self._run_in_thread, sys.exc_info()))
        try:
            await self._wait()
        finally:
            self._call = None
            copy_variables(self._context)
        # The exception's traceback holds this frame: leave no circle to the garbage collector.
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error

    async def _wait(self) -> None:
        while not self._is_over:
            try:
                await self._waiter
            except asyncio.CancelledError:
                if not self._tasks:
                    raise
                self._waiter = self._loop.create_future()
                # As in asgiref, the cancellation is for what the function waits for.
                task = self._tasks[0]
                task.cancel()
                await task

    def _run_in_thread(self, exc_info: Any) -> Callable[[], object]:
        call, self._call = self._call, None
        _managed.looks_up = True
        try:
            if call is not None:
                self._result = _entry.thread_handler(
                    self._loop, exc_info, self._tasks, self._context.run, self._run, call
                )
        except BaseException as error:  # noqa: BLE001 - raised in the task
            self._error = error
        return self._tell

    def _run(self, call: Callable[[], Any]) -> Any:
        copy_variables(self._context)
        return call()

    def _tell(self) -> None:
        # The event loop may be closed, if the task was cancelled.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrive)

    def _arrive(self) -> None:
        self._is_over = True
        if not self._waiter.done():
            self._waiter.set_result(None)


def begin_unused() -> None:
    """Record that this thread is new, so that it has no connection to close yet."""
    _managed.is_unused = True


async def look_up(function: Callable[..., _R], *args: Any) -> _R:
    """Call a function that reads from the database or a cache; for plugin authors.

    Such calls have `CHANNELS_LOOKUP_THREADS` threads of their own, so they do not wait for what a
    program runs by `database_sync_to_async`. Old database connections are closed before and after,
    and afterwards in the thread of `database_sync_to_async` too, as soon as it is free, if it may
    have one.

    The call runs where `database_sync_to_async` runs it under `async_to_sync`, as in Django's
    `TestCase`, within a `ThreadSensitiveContext`, if a database is in memory, since connections to
    a SQLite database in memory lock each other out, and if the setting is 0.

    Args:
        function: It should be short, since others wait for the threads, and it should not write:
            SQLite has one writer at a time.
        args: Its arguments.
    """
    threads = lookup_threads()
    if not threads or has_outer_thread() or _has_database_in_memory():
        return await DatabaseSyncToAsync(function, thread_sensitive=True)(*args)
    try:
        found: _R = await _LookUp(partial(function, *args)).run(_lookups.pool(threads))
        return found
    finally:
        # Programs rely on it that a connection to the server cleans up what Django's asynchronous
        # interface has left open. Entering that thread is dear (a fifth of a lookup of session and
        # user), so it is entered only if it may have a connection.
        if _open_in_programs_thread.is_set():
            with contextlib.suppress(RuntimeError):  # the interpreter ends, and takes no calls
                SyncToAsync.single_thread_executor.submit(_close_in_programs_thread)


def _has_database_in_memory() -> bool:
    names = [str(one["NAME"]) for one in connections.settings.values()]
    return any(name == ":memory:" or "mode=memory" in name for name in names)


def _close_in_programs_thread() -> None:
    # Cleared before the look: a connection that is opened meanwhile sets it again.
    _open_in_programs_thread.clear()
    _close_old_connections()
    if any(one.connection is not None for one in connections.all(initialized_only=True)):
        _open_in_programs_thread.set()


async def aclose_old_connections() -> None:
    """Close the connections of `sync_to_async`'s thread that are past `CONN_MAX_AGE` or broken.

    Consumers do so after each handler; call this in long-running code outside of consumers.

    Source: `django.db.close_old_connections`.
    """
    await sync_to_async(_close_old_connections)()


def _close_old_connections() -> None:
    # A handler without a database would look for connections twice, which takes 10 us of 40.
    if _managed.is_unused and close_old_connections is _CLOSE_OLD_CONNECTIONS:
        return
    opened = connections.all(initialized_only=True)
    # Django's function would look for connections once more (3 us), and find none. It is called all
    # the same if a program's test has replaced it, since such a test counts the calls.
    if not opened and close_old_connections is _CLOSE_OLD_CONNECTIONS:
        return
    # Not within a transaction: autocommit is off there, and so Django would close the connection.
    if not any(one.in_atomic_block for one in opened):
        close_old_connections()


class DatabaseUsage:
    """The database connections that the handlers of one consumer have opened.

    A context manager: connections that open within it are recorded. For a consumer that does not
    use a database, nothing is done, and no thread is entered.

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

    def __enter__(self) -> Self:
        """Record the connections that are opened within this context."""
        self.begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop recording."""
        self.end()

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
    _managed.is_unused = False
    if not _managed.looks_up:
        _open_in_programs_thread.set()
    usage = _usage.get()
    if usage is not None and not _managed.active:
        usage.opened = (*usage.opened, connection)


connection_created.connect(_record)
