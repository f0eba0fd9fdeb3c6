"""Let an application under test use the test's own database connections, and keep them open."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["TestConnections", "lend"]


class _Held:
    """The connections that are not closed, however old they are, and how often they are held.

    What closes connections between two requests asks each one whether it is still of use. In a
    test it is: its transaction, or a database in memory, would go with it.
    """

    def __init__(self) -> None:
        self._counts: Counter[BaseDatabaseWrapper] = Counter()

    def hold(self, held: Iterable[BaseDatabaseWrapper]) -> None:
        for connection in held:
            self._counts[connection] += 1
            # Over the method of its class, for this connection alone.
            vars(connection)["close_if_unusable_or_obsolete"] = _keep_open

    def release(self, held: Iterable[BaseDatabaseWrapper]) -> None:
        for connection in held:
            self._counts[connection] -= 1
            if not self._counts[connection]:
                del self._counts[connection]
                vars(connection).pop("close_if_unusable_or_obsolete", None)


_held = _Held()


def _keep_open() -> None:
    """Stand where Django closes a connection that is too old."""


def lend(borrowed: Iterable[BaseDatabaseWrapper]) -> Callable[[], None]:
    """Use connections of another thread in this one too.

    Args:
        borrowed: The connections, each under its own alias.

    Returns:
        What puts this thread's own connections back; to be called in it.
    """
    lent = list(borrowed)
    own = {one.alias: one for one in connections.all(initialized_only=True)}
    for connection in lent:
        connection.inc_thread_sharing()
        connections[connection.alias] = connection

    def restore() -> None:
        for connection in lent:
            if connection.alias in own:
                connections[connection.alias] = own[connection.alias]
            else:
                del connections[connection.alias]
            connection.dec_thread_sharing()

    return restore


class _Loan:
    """The connections that are lent to the one thread of an event loop's synchronous code."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self._loop = loop
        self._restore: Callable[[], None] | None = None

    async def begin(self, borrowed: list[BaseDatabaseWrapper]) -> None:
        # All synchronous code runs in that one thread: a connection serves one at a time.
        _executors[self._loop] = SyncToAsync.single_thread_executor
        self._restore = await sync_to_async(lend)(borrowed)

    def end(self) -> None:
        _executors.pop(self._loop, None)
        if self._restore is not None:
            SyncToAsync.single_thread_executor.submit(self._restore)


_executors: Any = AsyncToSync.loop_thread_executors
_loans: dict[asyncio.AbstractEventLoop, _Loan] = {}


class TestConnections:
    """A context in which an application uses the database as the test that runs it does.

    Connections that are in a transaction of the event loop's thread, as `pytest.mark.django_db`
    leaves them, are lent to the thread that synchronous code runs in; and no connection is
    closed for its age.
    """

    __test__ = False

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._used: Sequence[BaseDatabaseWrapper] = ()
        self._loan: _Loan | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Lend and hold the connections."""
        try:
            here = connections.all(initialized_only=True)
        except ImproperlyConfigured:
            return self  # A program without settings has no database.
        borrowed = [one for one in here if one.in_atomic_block]
        loop = self._loop = asyncio.get_running_loop()
        if loop in _loans or (borrowed and loop not in _executors):
            begins = loop not in _loans
            self._loan = _loans.setdefault(loop, _Loan(loop))
            self._loan.users += 1
            if begins:
                await self._loan.begin(borrowed)
        self._used = await sync_to_async(connections.all)()
        _held.hold(self._used)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Release them; nothing here waits, since the test may be over."""
        used, self._used = self._used, ()
        _held.release(used)
        loan, self._loan = self._loan, None
        if loan is not None:
            loan.users -= 1
            if not loan.users and self._loop is not None:
                _loans.pop(self._loop, None)
                loan.end()
