"""Run a sync handler in a thread, and its errands in the task that waits for the handler.

A handler's `self.send`, for example, is a coroutine that has to run in the event loop, an *errand*.
`async_to_sync` makes a task for each. But the task that waits for the handler has nothing else to
do, so it runs the errands itself, and a frame costs the way to the event loop and back.

Most handlers are done within some ten microseconds, less than it takes to wake an event loop that
waits in its selector. So the event loop *stands still* for a handler that was quick the last time:
its thread waits for the handler's thread, and for nothing else, for a millisecond at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from time import monotonic
from typing import Any, Final, TypeAlias

from channels_core._asgiref import WaitingThread, copy_variables, set_outer_executor
from channels_core._bell import bell_here
from channels_core._connection.sqlite_turns import call_in_turn
from channels_core._pool import BoundedPool
from channels_core.db import DatabaseSyncToAsync, begin_unused
from channels_core.forks import call_in_children

__all__ = ["Errand", "Handling", "Pace", "handling_here", "tell"]

_MISSING: Final = object()

# Seconds for which the event loop stands still during one call, however many errands it has: as
# long as the handlers of an async connection run before others get their turn.
_STAND_STILL: Final = 0.001
# Seconds after which that was not worth it: to wake the event loop would take as long.
_QUICK: Final = 0.0002
# The number of slow calls in a row after which a method is slow. One or two say little: another
# process may have had the processor.
_SLOW_CALLS: Final = 3
# The number of calls of a slow method until the event loop stands still for it again, at first and
# at most.
_FEW_CALLS: Final = 4
_MANY_CALLS: Final = 1024

# What a handler has returned, and the exception that it has raised; one of them is None.
_Outcome: TypeAlias = tuple[Any, BaseException | None]


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> bool:
    """Call a function in an event loop; return False if the loop is closed."""
    # A call whose task was cancelled may outlive the event loop.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
        return True
    return False


class Pace:
    """Whether the event loop stands still for a method, since its recent calls were quick.

    A method that is slow is tried again more and more seldom.
    """

    __slots__ = ("_left", "_next", "_slow")

    def __init__(self) -> None:
        """Begin with a quick one."""
        # The number of slow calls in a row.
        self._slow = 0
        # The number of calls that are taken for slow ones, without a try.
        self._left = 0
        # The same after the next slow one.
        self._next = _FEW_CALLS

    def is_quick(self) -> bool:
        """Return whether the call that begins now is likely to be quick."""
        if self._left:
            self._left -= 1
            return False
        return True

    def record(self, *, quick: bool) -> None:
        """Record whether a call was as quick as expected."""
        if quick:
            self._slow = 0
            self._next = _FEW_CALLS
            return
        self._slow += 1
        if self._slow >= _SLOW_CALLS:
            self._left = self._next
            self._next = min(2 * self._next, _MANY_CALLS)


class Errand:
    """A coroutine function that runs in the event loop, and for which a thread waits."""

    __slots__ = (
        "_args",
        "_bell",
        "_context",
        "_error",
        "_function",
        "_is_over",
        "_result",
        "_thread",
        "_work",
    )

    def __init__(self, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]):
        """Keep the coroutine function and its arguments, in the thread that will wait."""
        self._function = function
        self._args = args
        self._thread = threading.current_thread()
        self._bell = bell_here()
        # Functions for the thread to call.
        self._work: deque[Callable[[], object]] = deque()
        # Whether the thread goes on.
        self._is_over = False
        # The context after the coroutine; None if it was refused.
        self._context: Context | None = None
        self._error: BaseException | None = None
        self._result: Any = None

    async def run(self) -> None:
        """Run the coroutine function."""
        executor = WaitingThread(self._thread, self._run_in_thread)
        set_outer_executor(executor)
        try:
            self._result = await self._function(*self._args)
        except BaseException as error:
            # A cancellation too: it is up to the handler, as under `async_to_sync`.
            self._error = error
            if isinstance(error, GeneratorExit):
                raise
        finally:
            set_outer_executor(None)
            executor.end()
            self._context = copy_context()

    def _run_in_thread(self, work: Callable[[], object]) -> None:
        self._work.append(work)
        self._bell.ring()

    def answer(self) -> None:
        """Let the thread go on: the coroutine function has run, or it will not be run."""
        self._is_over = True
        self._bell.ring()

    def wait(self) -> bool:
        """Wait in the thread; return whether the coroutine function was run."""
        while self._work or not self._is_over:
            if self._work:
                self._work.popleft()()
            else:
                self._bell.wait()
        if self._context is None:
            return False
        copy_variables(self._context)
        return True

    def take_result(self) -> Any:
        """Return the result of the coroutine, or raise its exception."""
        # The exception's traceback holds this frame: leave no circle to the garbage collector.
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error


_entry: Final = DatabaseSyncToAsync(call_in_turn, thread_sensitive=False)


class _Here(threading.local):
    """The state of a thread.

    Attributes:
        handling: The handling whose handler runs there.
        is_new: Whether it has not run any handler; only asked in threads of a pool.
    """

    handling: Handling | None = None
    is_new: bool = True


_here: Final = _Here()


def handling_here() -> Handling | None:
    """Return the handling whose handler runs in this thread."""
    return _here.handling


def _forget() -> None:
    # A child process that a handler has forked: nobody waits there for its errands.
    _here.handling = None


call_in_children(_forget)


class Handling:
    """A call of a sync handler in a thread of a pool, and its errands.

    It does what `sync_to_async` does: variables of the context go into the thread and come back,
    `async_to_sync` finds the event loop, and a cancellation reaches the coroutine that the thread
    waits for.

    Attributes:
        loop: The event loop of the task that waits for the handler.
        tasks: The tasks of `async_to_sync` for which the thread waits; asgiref keeps the list.
    """

    __slots__ = (
        "_arrived",
        "_bell",
        "_call",
        "_context",
        "_has_left",
        "_is_waiting",
        "_pace",
        "_stands_until",
        "_token",
        "_variables",
        "_waiter",
        "_was_quick",
        "loop",
        "tasks",
    )

    def __init__(self, call: Callable[[], Any], pace: Pace | None = None) -> None:
        """Begin, in the task that will wait.

        Args:
            call: The handler with its arguments.
            pace: The pace of the handler; None for one for which the event loop never stands still.
        """
        self.loop = asyncio.get_running_loop()
        # None as soon as a thread has begun it, or if none is to begin it any more.
        self._call: Callable[[], Any] | None = call
        self._context = copy_context()
        self.tasks: list[asyncio.Task[Any]] = []
        # What the thread has told last.
        self._arrived: Errand | _Outcome | None = None
        # Resolved when something has arrived.
        self._waiter: asyncio.Future[None] | None = None
        # Whether the task was cancelled, and does not wait any more.
        self._has_left = False
        # Whether the thread waits for an errand.
        self._is_waiting = False
        # The thread's context, if the handler has not changed it.
        self._variables = self._context
        self._pace = pace
        # The time until which the event loop may stand still; 0 if it does not any more.
        self._stands_until = 0.0
        # Whether it was worth it; None if it has not stood still.
        self._was_quick: bool | None = None
        # Whoever holds it decides how the thread tells: it is free only while the event loop stands
        # still. Either the thread takes it and rings the bell, or the loop does and goes on.
        self._token = threading.Lock()
        self._token.acquire()
        self._bell = bell_here()

    async def run(self, pool: BoundedPool) -> Any:
        """Call the handler in a thread of a pool, and run the thread's errands.

        Returns:
            The handler's result.

        Raises:
            asyncio.CancelledError: The task was cancelled. The thread goes on, and each errand that
                it still has gets a task of its own.
        """
        pace = self._pace
        if pace is not None and pace.is_quick():
            self._stands_until = monotonic() + _STAND_STILL
        try:
            self._expect()
            if not pool.start(partial(self._run_in_thread, sys.exc_info())):
                self._expect_later()  # it takes a while until a thread begins
            while isinstance(arrived := await self._next(), Errand):
                try:
                    await arrived.run()
                finally:
                    self._expect()
                    arrived.answer()
        except BaseException:
            if not pool.keeps:
                self._call = None
            self._leave()
            raise
        finally:
            copy_variables(self._context)
        if pace is not None and self._was_quick is not None:
            pace.record(quick=self._was_quick)
        result, error = arrived
        del arrived
        if error is None:
            return result
        try:
            raise error
        finally:
            # The exception's traceback holds this frame: leave no circle to the garbage collector.
            del error

    # In the event loop

    async def _next(self) -> Errand | _Outcome:
        """Wait for what the thread tells next."""
        if self._stands_until:
            self._stand_still()
        while self._arrived is None:
            waiter = self._waiter = self.loop.create_future()
            try:
                await waiter
            except asyncio.CancelledError:
                if not self.tasks:
                    raise
                # As in asgiref, the cancellation is for what the handler waits for.
                task = self.tasks[0]
                task.cancel()
                await task
        arrived, self._arrived = self._arrived, None
        return arrived

    def _expect(self) -> None:
        """Have the thread ring the bell the next time, if the event loop will stand still.

        This is before the thread goes on: it may be quicker than this one.
        """
        if self._stands_until:
            self._token.release()

    def _expect_later(self) -> None:
        """Have the thread wake the event loop the next time, and take what it tells just now."""
        if self._stands_until:
            self._stands_until = 0.0
            if not self._token.acquire(blocking=False):
                self._bell.wait()  # the thread has begun to ring

    def _stand_still(self) -> None:
        """Wait for the thread with the whole event loop, for a moment."""
        since = monotonic()
        rung = False
        try:
            rung = self._bell.wait(_STAND_STILL)
        finally:
            # The bell may ring for somebody else, after an exception of a signal's handler.
            if not (rung and self._arrived is not None):
                self._expect_later()
        until = monotonic()
        self._was_quick = self._was_quick is not False and until - since <= _QUICK
        if until > self._stands_until:
            self._stands_until = 0.0

    def _leave(self) -> None:
        """Have the thread's errands run elsewhere from now on."""
        self._has_left = True
        self._expect_later()
        untaken, self._arrived = self._arrived, None
        if isinstance(untaken, Errand):
            untaken.answer()

    def _arrive(self, arrived: Errand | _Outcome) -> None:
        """Take what the thread tells."""
        if not self._has_left:
            self._arrived = arrived
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        elif isinstance(arrived, Errand):
            arrived.answer()

    # In the thread

    def _tell(self, arrived: Errand | _Outcome) -> bool:
        """Tell the task something; return False if its event loop is closed."""
        if self._token.acquire(blocking=False):
            self._arrived = arrived
            self._bell.ring()
            return True
        return tell(self.loop, self._arrive, arrived)

    def _run_in_thread(self, exc_info: Any) -> Callable[[], object]:
        result: Any = None
        error: BaseException | None = None
        call, self._call = self._call, None
        if _here.is_new:
            _here.is_new = False
            begin_unused()
        try:
            if call is not None:
                result = _entry.thread_handler(
                    self.loop, exc_info, self.tasks, self._context.run, self._handle, call
                )
        except BaseException as caught:  # noqa: BLE001 - raised in the task
            error = caught
        try:
            return partial(self._tell, (result, error))
        finally:
            # The exception's traceback holds this frame.
            del error, exc_info

    def _handle(self, call: Callable[[], Any]) -> Any:
        copy_variables(self._context)
        self._variables = copy_context()
        _here.handling = self
        try:
            return call_in_turn(call)
        finally:
            _here.handling = None

    def run_errand(
        self, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]
    ) -> Errand | None:
        """Run a coroutine function in the task that waits for the handler, and wait for it.

        Returns:
            The errand; None if the coroutine function needs a task of its own. It does if the
            handler has set a variable of the context, or handles an exception: the coroutine sees
            them, but nobody else in the connection's task.
        """
        if (
            self._is_waiting
            or self._has_left
            or sys.exc_info()[1] is not None
            or not _are_same(copy_context(), self._variables)
        ):
            return None
        errand = Errand(function, args)
        if not self._tell(errand):
            return None
        self._is_waiting = True
        was_run = errand.wait()
        self._is_waiting = False
        self._variables = copy_context()
        return errand if was_run else None


def _are_same(one: Context, other: Context) -> bool:
    """Return whether two contexts have the same variables with the same values."""
    return len(one) == len(other) and all(
        other.get(variable, _MISSING) is value for variable, value in one.items()
    )
