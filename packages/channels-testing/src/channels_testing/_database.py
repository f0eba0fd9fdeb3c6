"""Let an application under test use the test's own database connections, and keep them open."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import Any, Final

from asgiref.sync import AsyncToSync, SyncToAsync
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["connections_of_the_test", "lent_connections", "new_connections_closed"]


@contextmanager
def connections_of_the_test() -> Iterator[None]:
    """Have this task, and what it starts, use the database as the test that runs it does.

    Under `async_to_sync`, as in a Django `TestCase`, synchronous code runs in the test's thread.
    In an event loop of the test's thread it runs in asgiref's thread, to which the connections
    of the test's transaction, and databases in memory, are lent. In both cases no connection of
    the test is closed meanwhile. A test that has committed what it created needs neither.

    Nothing here waits, so that there is nothing to clean up if the task is cancelled.
    """
    waiting: Executor | None = AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())
    if waiting is not None:
        # Django's handler asks for a thread of its own otherwise; this is for the task alone.
        AsyncToSync.executors.current = waiting
        held = waiting.submit(_hold_here)
        try:
            yield
        finally:
            held.add_done_callback(lambda done: _held.release(done.result()))
    elif borrowed := _bound_here():
        thread = SyncToAsync.single_thread_executor
        # All synchronous code runs in that one thread: a connection serves one at a time.
        AsyncToSync.executors.current = thread
        thread.submit(_lender.lend, borrowed)
        _held.hold(borrowed)
        try:
            yield
        finally:
            _held.release(borrowed)
            with suppress(RuntimeError):  # At the end of the interpreter threads take no more.
                thread.submit(_lender.take_back, borrowed)
    else:
        yield


@contextmanager
def lent_connections() -> Iterator[None]:
    """Lend the connections of this thread's transactions to asgiref's thread.

    What Django's asynchronous interface has opened there is closed in the end: nobody else would,
    and a test database with a connection to it cannot be dropped.
    """
    borrowed = _bound_here()
    thread = SyncToAsync.single_thread_executor
    thread.submit(_lender.lend, borrowed).result()
    try:
        yield
    finally:
        thread.submit(_lender.take_back, borrowed).result()
        thread.submit(_close_here).result()


@contextmanager
def new_connections_closed() -> Iterator[None]:
    """Close the connections that are opened meanwhile in this thread, however long they may live.

    Nobody else would, and a test database with a connection to it cannot be dropped.
    """
    before = {one.alias for one in _initialized() if one.connection is not None}
    try:
        yield
    finally:
        for connection in _initialized():
            if connection.alias not in before:
                connection.close()


class _Held:
    """The connections that are not closed, however old they are, and how often they are held.

    What closes connections between two requests asks each one whether it is still of use. In a
    test it is: its transaction, or a database in memory, would go with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[BaseDatabaseWrapper] = Counter()

    def hold(self, held: Iterable[BaseDatabaseWrapper]) -> None:
        with self._lock:
            for connection in held:
                self._counts[connection] += 1
                # Over the methods of its class, for this connection alone.
                vars(connection)["close_if_unusable_or_obsolete"] = _keep_open
                if connection.in_atomic_block:
                    vars(connection)["close"] = _keep_open

    def release(self, held: Iterable[BaseDatabaseWrapper]) -> None:
        with self._lock:
            for connection in held:
                self._counts[connection] -= 1
                if not self._counts[connection]:
                    del self._counts[connection]
                    for method in _CLOSING:
                        vars(connection).pop(method, None)


_CLOSING: Final = ("close_if_unusable_or_obsolete", "close")


def _keep_open() -> None:
    """Stand where Django closes a connection."""


class _Lender:
    """The connections of other threads that asgiref's thread uses; called in that thread alone."""

    def __init__(self) -> None:
        self._counts: Counter[BaseDatabaseWrapper] = Counter()
        self._own: dict[str, BaseDatabaseWrapper] = {}

    def lend(self, borrowed: Iterable[BaseDatabaseWrapper]) -> None:
        own = {one.alias: one for one in _initialized()}
        for connection in borrowed:
            if not self._counts[connection]:
                if connection.alias in own:
                    self._own[connection.alias] = own[connection.alias]
                connection.inc_thread_sharing()
                connections[connection.alias] = connection
            self._counts[connection] += 1

    def take_back(self, borrowed: Iterable[BaseDatabaseWrapper]) -> None:
        for connection in borrowed:
            self._counts[connection] -= 1
            if not self._counts[connection]:
                del self._counts[connection]
                del connections[connection.alias]
                if connection.alias in self._own:
                    connections[connection.alias] = self._own.pop(connection.alias)
                connection.dec_thread_sharing()


_held: Final = _Held()
_lender: Final = _Lender()


def _initialized() -> list[BaseDatabaseWrapper]:
    """Return the connections of this thread; none in a program without settings."""
    try:
        return list(connections.all(initialized_only=True))
    except ImproperlyConfigured:
        return []


def _hold_here() -> list[BaseDatabaseWrapper]:
    here = _initialized()
    _held.hold(here)
    return here


def _close_here() -> None:
    for connection in _initialized():
        connection.close()


def _bound_here() -> list[BaseDatabaseWrapper]:
    """Return this thread's connections that have what no other connection can see."""
    loop = asyncio._get_running_loop()
    # In an event loop, Django shows the connections of a task, and not those of its thread.
    asyncio._set_running_loop(None)
    try:
        here = _initialized()
    finally:
        asyncio._set_running_loop(loop)
    return [one for one in here if one.in_atomic_block or _is_in_memory(one)]


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())
