"""Call synchronous code that uses the database, and close the connections that it opened.

Django closes a thread's old database connections before and after each HTTP request. A consumer has
no such requests, so `database_sync_to_async` closes them in the thread of its call, before and
after the function. `_database_usage.py` is about connections that a handler opens in another way.

`database_sync_to_async` runs all calls in one thread, where a program's slow call holds up the
others. So whoever wants to connect does not wait there: `look_up` has a few threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import close_old_connections, connections

from channels_core._asgiref import copy_variables, has_outer_thread
from channels_core._database_usage import managed, open_in_programs_thread
from channels_core._settings import call_on_change, lookup_threads
from channels_core.forks import call_in_children

if TYPE_CHECKING:
    from channels_core._pool import BoundedPool

__all__ = ["DatabaseSyncToAsync", "aclose_old_connections", "database_sync_to_async", "look_up"]

_CLOSE_OLD_CONNECTIONS: Final = close_old_connections

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")


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
# The threads exist in the parent process only.
call_in_children(_lookups.forget)


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
        outer = managed.active
        managed.active = True
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call] # asgiref's
        finally:
            managed.active = outer
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
        managed.looks_up = True
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
    managed.is_unused = True


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
        if open_in_programs_thread.is_set():
            with contextlib.suppress(RuntimeError):  # the interpreter ends, and takes no calls
                SyncToAsync.single_thread_executor.submit(_close_in_programs_thread)


def _has_database_in_memory() -> bool:
    names = [str(one["NAME"]) for one in connections.settings.values()]
    return any(name == ":memory:" or "mode=memory" in name for name in names)


def _close_in_programs_thread() -> None:
    # Cleared before the look: a connection that is opened meanwhile sets it again.
    open_in_programs_thread.clear()
    _close_old_connections()
    if any(one.connection is not None for one in connections.all(initialized_only=True)):
        open_in_programs_thread.set()


async def aclose_old_connections() -> None:
    """Close the connections of `sync_to_async`'s thread that are past `CONN_MAX_AGE` or broken.

    Consumers do so after each handler; call this in long-running code outside of consumers.

    Source: `django.db.close_old_connections`.
    """
    await sync_to_async(_close_old_connections)()


def _close_old_connections() -> None:
    # A handler without a database would look for connections twice, which takes 10 us of 40.
    if managed.is_unused and close_old_connections is _CLOSE_OLD_CONNECTIONS:
        return
    opened = connections.all(initialized_only=True)
    # Django's function would look for connections once more (3 us), and find none. It is called all
    # the same if a program's test has replaced it, since such a test counts the calls.
    if not opened and close_old_connections is _CLOSE_OLD_CONNECTIONS:
        return
    # Not within a transaction: autocommit is off there, and so Django would close the connection.
    if not any(one.in_atomic_block for one in opened):
        close_old_connections()
