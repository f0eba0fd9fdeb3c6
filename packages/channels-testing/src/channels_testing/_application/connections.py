"""Decide which database connections an application under test uses.

It uses connections of its own, as under a server, unless the test's transaction hides something
from them. In that case the thread that runs synchronous code gets a lent connection (see
`lent_connection`) that works in the test's transaction, until that transaction ends. Under
`async_to_sync` synchronous code runs in the test's own thread, and so in its transaction, as all
code does in Django's `TestCase`.

Two things here depend on the inside of asgiref and Django, because neither offers another way:

- `AsyncToSync.executors.current` names the executor in which asgiref runs the synchronous code of a
  task. It is set for the application's task, which alone sees it.
- In an event loop Django refuses database calls, and shows the connections of the task instead of
  those of its thread. So the running loop is unset while the thread's connections are read.
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
    call_at_end_of_test,
    hides_from_others,
    lend,
)

__all__ = [
    "connections_of_the_test",
    "lend_hidden_transactions",
    "lent_connections",
    "new_connections_closed",
]


@contextmanager
def connections_of_the_test() -> Iterator[None]:
    """Let this task and the tasks that it starts use the connections that this module decides on.

    Nothing here is awaited, so a cancellation of the task needs no clean-up.
    """
    waiting: Executor | None = AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())
    if waiting is not None:
        # The test's thread waits in async_to_sync(), and runs what is submitted to `waiting`.
        executor = _TestThreadExecutor(waiting)
        AsyncToSync.executors.current = executor
        held = waiting.submit(_keep_open_here)
        try:
            yield
        finally:
            held.add_done_callback(lambda done: _kept_open.release(done.result()))
            executor.leave()
    else:
        lend_hidden_transactions()
        if any(one.in_atomic_block or _is_in_memory(one) for one in _connections_of_this_thread()):
            # All synchronous code has to run in one thread: a lent connection serves one call at a
            # time, and connections to a database in memory lock each other out.
            AsyncToSync.executors.current = SyncToAsync.single_thread_executor
        yield


def lend_hidden_transactions() -> None:
    """Lend the transactions of this thread that hide something from other connections."""
    loop = asyncio._get_running_loop()
    here = _in_transaction(_connections_of_this_thread())
    if not here:
        return
    # Django refuses database calls while an event loop runs.
    asyncio._set_running_loop(None)
    try:
        _lend(one for one in here if one not in _lendings and hides_from_others(one))
    finally:
        asyncio._set_running_loop(loop)


@contextmanager
def lent_connections() -> Iterator[None]:
    """Lend this thread's transactions to asgiref's thread, whether or not they hide something.

    At the end the connections that Django's asynchronous interface has opened there are closed.
    Nothing else closes them, and a test database cannot be dropped while it has a connection.
    """
    here = _in_transaction(_connections_of_this_thread())
    _lend(one for one in here if one not in _lendings)
    try:
        yield
    finally:
        for lending in [_lendings[owner] for owner in here if owner in _lendings]:
            lending.end()
        SyncToAsync.single_thread_executor.submit(_close_here).result()


@contextmanager
def new_connections_closed() -> Iterator[None]:
    """Close the connections that are opened in this thread in the meantime.

    Nothing else closes them, and a test database cannot be dropped while it has a connection.
    """
    before = {one.alias for one in _visible_connections() if one.connection is not None}
    try:
        yield
    finally:
        for connection in _visible_connections():
            if connection.alias not in before:
                connection.close()


class _KeptOpen:
    """The connections of the test that must not be closed, with a count of who needs them.

    Between two requests Django closes connections that are too old. In a test that would end the
    test's transaction, or a database in memory. So the methods that close are replaced, on these
    connections alone.
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
                # An attribute of the instance hides the method of its class.
                vars(connection)["close_if_unusable_or_obsolete"] = _do_nothing
                if connection.in_atomic_block:
                    vars(connection)["close"] = _do_nothing

    def release(self, held: Iterable[BaseDatabaseWrapper]) -> None:
        with self._lock:
            for connection in held:
                self._counts[connection] -= 1
                if not self._counts[connection]:
                    del self._counts[connection]
                    for method in _CLOSING:
                        vars(connection).pop(method, None)


_CLOSING: Final = ("close_if_unusable_or_obsolete", "close")


def _do_nothing() -> None:
    """Do nothing, in the place of a method that closes a connection."""


class _Lending:
    """One transaction that is lent to asgiref's thread."""

    def __init__(self, owner: BaseDatabaseWrapper) -> None:
        self._owner = owner
        self._own: BaseDatabaseWrapper | None = None
        self._lent: LentConnection | None = None
        self._lock = threading.Lock()
        self._ended = False

    def begin(self) -> None:
        """Replace the connection of asgiref's thread by the lent one; called in that thread."""
        with self._lock:
            if not self._ended:
                alias = self._owner.alias
                self._own = next(
                    (one for one in _visible_connections() if one.alias == alias), None
                )
                connections[alias] = self._lent = lend(self._owner)

    def end(self) -> None:
        """End it at once. The thread, which may be busy, gets its own connection back later."""
        _lendings.pop(self._owner, None)
        with self._lock:
            already, self._ended = self._ended, True
        if self._lent is not None and not already:
            self._lent.end()
            with suppress(RuntimeError):  # At the end of the interpreter a thread takes no calls.
                SyncToAsync.single_thread_executor.submit(self._put_back)

    def _put_back(self) -> None:
        del connections[self._owner.alias]
        if self._own is not None:
            connections[self._owner.alias] = self._own


class _TestThreadExecutor(Executor):
    """Run the synchronous code of one application in the test's thread.

    There it works in the test's transaction, as in a `TestCase`. An exception is Django's handler,
    which asks for a thread of its own: under a server its views have connections of their own. They
    have them here as well, or a lent connection if the test's transaction hides something.
    """

    def __init__(self, waiting: Executor) -> None:
        self._waiting = waiting
        self._own_connections: dict[BaseDatabaseWrapper, BaseDatabaseWrapper] = {}

    def __getattr__(self, name: str) -> Any:
        # asgiref reads attributes of its own executors, such as the one to use next.
        return getattr(self._waiting, name)

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        if SyncToAsync.thread_sensitive_context.get(None):
            return self._waiting.submit(self._call_with_own_connections, call, *args, **kwargs)
        return self._waiting.submit(call, *args, **kwargs)

    def _call_with_own_connections(
        self, call: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        owners = _in_transaction(_visible_connections())
        for owner in owners:
            connections[owner.alias] = self._own_connection(owner)
        try:
            return call(*args, **kwargs)
        finally:
            for owner in owners:
                connections[owner.alias] = owner

    def _own_connection(self, owner: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
        apart = self._own_connections.get(owner)
        if not isinstance(apart, LentConnection) and hides_from_others(owner):
            self._close(apart)
            apart = lend(owner)
            call_at_end_of_test(owner, apart.end)
        elif apart is None:
            apart = connections.create_connection(owner.alias)
        self._own_connections[owner] = apart
        return apart

    def leave(self) -> None:
        """Let the test's thread close the connections that were opened there."""
        with suppress(RuntimeError):  # The thread no longer waits for calls.
            self._waiting.submit(self._close_all)

    def _close_all(self) -> None:
        for connection in self._own_connections.values():
            self._close(connection)

    @staticmethod
    def _close(connection: BaseDatabaseWrapper | None) -> None:
        if connection is not None and not isinstance(connection, LentConnection):
            # The base's method: that of SQLite does not close a database in memory.
            BaseDatabaseWrapper.close(connection)


_kept_open: Final = _KeptOpen()
# In a forked process the thread that held the lock does not exist.
call_in_children(_kept_open.make_lock)
_lendings: Final[dict[BaseDatabaseWrapper, _Lending]] = {}


def _lend(owners: Iterable[BaseDatabaseWrapper]) -> None:
    for owner in owners:
        lending = _lendings[owner] = _Lending(owner)
        call_at_end_of_test(owner, lending.end)
        SyncToAsync.single_thread_executor.submit(lending.begin)


def _visible_connections() -> list[BaseDatabaseWrapper]:
    """Return the connections that Django shows here; an empty list without settings."""
    try:
        return list(connections.all(initialized_only=True))
    except ImproperlyConfigured:
        return []


def _keep_open_here() -> list[BaseDatabaseWrapper]:
    here = _visible_connections()
    _kept_open.hold(here)
    return here


def _close_here() -> None:
    for connection in _visible_connections():
        connection.close()


def _connections_of_this_thread() -> list[BaseDatabaseWrapper]:
    """Return this thread's connections, even while an event loop runs in it."""
    loop = asyncio._get_running_loop()
    # In an event loop Django shows the connections of the task instead.
    asyncio._set_running_loop(None)
    try:
        return _visible_connections()
    finally:
        asyncio._set_running_loop(loop)


def _in_transaction(here: Iterable[BaseDatabaseWrapper]) -> list[BaseDatabaseWrapper]:
    return [one for one in here if one.in_atomic_block]


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())
