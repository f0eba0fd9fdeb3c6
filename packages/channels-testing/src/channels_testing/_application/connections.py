"""Decide which database connections an application under test works with.

It has connections of its own, as under a server, unless the test's transaction keeps something from
them. Then the transaction is lent (see `_lent`) to the thread in which synchronous code runs, until
the transaction ends. Under `async_to_sync` synchronous code runs in the test's own thread, and so
in its transaction, as it does in Django's `TestCase` for all code.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from typing import Any, Final

from asgiref.sync import AsyncToSync, SyncToAsync
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from channels_core.forks import call_in_children
from channels_testing._application.lent_connection import (
    LentConnection,
    lend,
    others_cannot_pass,
    when_the_test_ends,
)

__all__ = [
    "connections_of_the_test",
    "lend_what_others_cannot_see",
    "lent_connections",
    "new_connections_closed",
]


@contextmanager
def connections_of_the_test() -> Iterator[None]:
    """Have this task, and what it starts, use the database as this module says.

    Nothing here waits, so that there is nothing to clean up if the task is cancelled.
    """
    waiting: Executor | None = AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())
    if waiting is not None:
        # Django's handler asks for a thread of its own otherwise; this is for the task alone.
        executor = _InTheTestsThread(waiting)
        AsyncToSync.executors.current = executor
        held = waiting.submit(_hold_here)
        try:
            yield
        finally:
            held.add_done_callback(lambda done: _held.release(done.result()))
            executor.leave()
    else:
        lend_what_others_cannot_see()
        if any(one.in_atomic_block or _is_in_memory(one) for one in _of_the_loops_thread()):
            # All synchronous code runs in that one thread: what is lent serves one at a time, and
            # connections to a database in memory lock each other out.
            AsyncToSync.executors.current = SyncToAsync.single_thread_executor
        yield


def lend_what_others_cannot_see() -> None:
    """Lend what the test's transactions keep from other connections, if this is its thread."""
    loop = asyncio._get_running_loop()
    here = _in_transaction(_of_the_loops_thread())
    if not here:
        return
    # Django refuses to be asked within an event loop.
    asyncio._set_running_loop(None)
    try:
        _lend(one for one in here if one not in _lendings and others_cannot_pass(one))
    finally:
        asyncio._set_running_loop(loop)


@contextmanager
def lent_connections() -> Iterator[None]:
    """Lend this thread's transactions to asgiref's thread, whatever they have written.

    What Django's asynchronous interface has opened there is closed in the end: nobody else would,
    and a test database with a connection to it cannot be dropped.
    """
    here = _in_transaction(_of_the_loops_thread())
    _lend(one for one in here if one not in _lendings)
    try:
        yield
    finally:
        for lending in [_lendings[owner] for owner in here if owner in _lendings]:
            lending.end()
        SyncToAsync.single_thread_executor.submit(_close_here).result()


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
        self.make_lock()
        self._counts: Counter[BaseDatabaseWrapper] = Counter()

    def make_lock(self) -> None:
        self._lock = threading.Lock()

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


class _Lending:
    """One transaction that is lent to asgiref's thread."""

    def __init__(self, owner: BaseDatabaseWrapper) -> None:
        self._owner = owner
        self._own: BaseDatabaseWrapper | None = None
        self._lent: LentConnection | None = None
        self._lock = threading.Lock()
        self._ended = False

    def begin(self) -> None:
        """Put it in the place of the thread's own connection; called in that thread."""
        with self._lock:
            if not self._ended:
                alias = self._owner.alias
                self._own = next((one for one in _initialized() if one.alias == alias), None)
                connections[alias] = self._lent = lend(self._owner)

    def end(self) -> None:
        """End it at once; the thread, which may be at work, gets its own connection back later."""
        _lendings.pop(self._owner, None)
        with self._lock:
            already, self._ended = self._ended, True
        if self._lent is not None and not already:
            self._lent.end()
            with suppress(RuntimeError):  # At the end of the interpreter threads take no more.
                SyncToAsync.single_thread_executor.submit(self._put_back)

    def _put_back(self) -> None:
        del connections[self._owner.alias]
        if self._own is not None:
            connections[self._owner.alias] = self._own


class _InTheTestsThread(Executor):
    """Run synchronous code in the test's thread, for one application.

    There it works in the test's transaction, as in a `TestCase`. Only Django's handler asks for a
    thread of its own, where its views would have connections of their own. So it has here too; but
    if the test's transaction keeps something from them, that is lent in their place.
    """

    def __init__(self, waiting: Executor) -> None:
        self._waiting = waiting
        self._apart: dict[BaseDatabaseWrapper, BaseDatabaseWrapper] = {}

    def __getattr__(self, name: str) -> Any:
        # asgiref goes on to it from executors whose thread no longer waits.
        return getattr(self._waiting, name)

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        if SyncToAsync.thread_sensitive_context.get(None):
            return self._waiting.submit(self._call_apart, call, *args, **kwargs)
        return self._waiting.submit(call, *args, **kwargs)

    def _call_apart(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        owners = _in_transaction(_initialized())
        for owner in owners:
            connections[owner.alias] = self._get_apart(owner)
        try:
            return call(*args, **kwargs)
        finally:
            for owner in owners:
                connections[owner.alias] = owner

    def _get_apart(self, owner: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        apart = self._apart.get(owner)
        if not isinstance(apart, LentConnection) and others_cannot_pass(owner):
            self._close(apart)
            apart = lend(owner)
            when_the_test_ends(owner, apart.end)
        elif apart is None:
            apart = connections.create_connection(owner.alias)
        self._apart[owner] = apart
        return apart

    def leave(self) -> None:
        """Close what was opened, in the test's thread, when it comes to it."""
        with suppress(RuntimeError):  # It no longer waits.
            self._waiting.submit(self._close_all)

    def _close_all(self) -> None:
        for connection in self._apart.values():
            self._close(connection)

    @staticmethod
    def _close(connection: BaseDatabaseWrapper | None) -> None:
        if connection is not None and not isinstance(connection, LentConnection):
            # The base's: that of SQLite does not close what is in memory.
            BaseDatabaseWrapper.close(connection)


_held: Final = _Held()
# Without the thread that may have had it.
call_in_children(_held.make_lock)
_lendings: Final[dict[BaseDatabaseWrapper, _Lending]] = {}


def _lend(owners: Iterable[BaseDatabaseWrapper]) -> None:
    for owner in owners:
        lending = _lendings[owner] = _Lending(owner)
        when_the_test_ends(owner, lending.end)
        SyncToAsync.single_thread_executor.submit(lending.begin)


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


def _of_the_loops_thread() -> list[BaseDatabaseWrapper]:
    """Return this thread's connections, also in an event loop."""
    loop = asyncio._get_running_loop()
    # In an event loop, Django shows the connections of a task, and not those of its thread.
    asyncio._set_running_loop(None)
    try:
        return _initialized()
    finally:
        asyncio._set_running_loop(loop)


def _in_transaction(here: Iterable[BaseDatabaseWrapper]) -> list[BaseDatabaseWrapper]:
    return [one for one in here if one.in_atomic_block]


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())
