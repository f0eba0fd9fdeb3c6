"""Run a sync handler in a thread, and its errands in the task that waits for the handler.

A handler's `self.send`, for example, is a coroutine that has to run in the event loop, an *errand*.
`async_to_sync` makes a task for each. But the task that waits for the handler has nothing else to
do, so it runs the errands itself, and a frame costs the way to the event loop and back.
"""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, Final, TypeAlias

from channels_core._asgiref import WaitingThread, copy_variables, set_outer_executor
from channels_core._connection.sqlite_turns import call_in_turn
from channels_core.db import DatabaseSyncToAsync
from channels_core.forks import call_in_children

__all__ = ["Errand", "Handling", "handling_here", "tell"]

_MISSING: Final = object()

# What a handler has returned, and the exception that it has raised; one of them is None.
_Outcome: TypeAlias = tuple[Any, BaseException | None]


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> bool:
    """Call a function in an event loop; return False if the loop is closed."""
    # A call whose task was cancelled may outlive the event loop.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
        return True
    return False


class Errand:
    """A coroutine function that runs in the event loop, and for which a thread waits."""

    __slots__ = ("_args", "_context", "_error", "_function", "_inbox", "_result", "_thread")

    def __init__(self, function: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]):
        """Keep the coroutine function and its arguments, in the thread that will wait."""
        self._function = function
        self._args = args
        self._thread = threading.current_thread()
        # Functions for the thread to call, and then None.
        self._inbox: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        # The context after the coroutine; None if it was refused.
        self._context: Context | None = None
        self._error: BaseException | None = None
        self._result: Any = None

    async def run(self) -> None:
        """Run the coroutine function, and let the thread go on."""
        executor = WaitingThread(self._thread, self._inbox.put)
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
            self._inbox.put(None)

    def refuse(self) -> None:
        """Let the thread go on without running the coroutine function."""
        self._inbox.put(None)

    def wait(self) -> bool:
        """Wait in the thread; return whether the coroutine function was run."""
        while (work := self._inbox.get()) is not None:
            work()
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
    """What runs in a thread: the handling of its handler."""

    handling: "Handling | None" = None


_here: Final = _Here()


def handling_here() -> "Handling | None":
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
    """

    __slots__ = (
        "_arrived",
        "_call",
        "_context",
        "_has_left",
        "_is_waiting",
        "_tasks",
        "_variables",
        "_waiter",
        "loop",
    )

    def __init__(self, call: Callable[[], Any]) -> None:
        """Begin, in the task that will wait.

        Args:
            call: The handler with its arguments.
        """
        self.loop = asyncio.get_running_loop()
        self._call = call
        self._context = copy_context()
        # The tasks of `async_to_sync` for which the thread waits; asgiref keeps the list.
        self._tasks: list[asyncio.Task[Any]] = []
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

    async def run(self, pool: Executor) -> Any:
        """Call the handler in a thread of a pool, and run the thread's errands.

        Returns:
            The handler's result.

        Raises:
            asyncio.CancelledError: The task was cancelled. The thread goes on, and each errand that
                it still has gets a task of its own.
        """
        work = pool.submit(self._run_in_thread, sys.exc_info())
        try:
            while isinstance(arrived := await self._next(), Errand):
                await arrived.run()
        except BaseException:
            work.cancel()
            self._has_left = True
            untaken, self._arrived = self._arrived, None
            if isinstance(untaken, Errand):
                untaken.refuse()
            raise
        finally:
            copy_variables(self._context)
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

    async def _next(self) -> "Errand | _Outcome":
        """Wait for what the thread tells next."""
        while self._arrived is None:
            waiter = self._waiter = self.loop.create_future()
            try:
                await waiter
            except asyncio.CancelledError:
                if not self._tasks:
                    raise
                # As in asgiref, the cancellation is for what the handler waits for.
                task = self._tasks[0]
                task.cancel()
                await task
        arrived, self._arrived = self._arrived, None
        return arrived

    def _arrive(self, arrived: "Errand | _Outcome") -> None:
        """Take what the thread tells."""
        if not self._has_left:
            self._arrived = arrived
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
        elif isinstance(arrived, Errand):
            arrived.refuse()

    # In the thread

    def _run_in_thread(self, exc_info: Any) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = _entry.thread_handler(
                self.loop, exc_info, self._tasks, self._context.run, self._handle
            )
        except BaseException as caught:  # noqa: BLE001 - raised in the task
            error = caught
        tell(self.loop, self._arrive, (result, error))
        # The exception's traceback holds this frame.
        del error

    def _handle(self) -> Any:
        copy_variables(self._context)
        self._variables = copy_context()
        _here.handling = self
        try:
            return call_in_turn(self._call)
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
        if not tell(self.loop, self._arrive, errand):
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
