"""Run the handlers of synchronous consumers in a bounded pool of threads.

`HandlerThread.call` runs one handler of a connection, after the one before has left its thread.
`run_in_thread` chooses the thread. In the other direction, `run_in_loop` lets a handler's thread
run a coroutine in the event loop of its connection, to send for example.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from functools import cache, partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from django.core.signals import setting_changed

from channels_core._asgiref import get_outer_executor, has_outer_thread, is_thread_of_loop
from channels_core._cancellation import Bound
from channels_core._connection.errands import Handling, Pace, handling_here, tell
from channels_core._pool import BoundedPool
from channels_core._settings import sync_threads
from channels_core.db import DatabaseSyncToAsync
from channels_core.forks import call_in_children

__all__ = ["HandlerThread", "ThreadCall", "run_in_loop", "run_in_thread"]

logger: Final = logging.getLogger("django.channels.consumer")

_STOPPED: Final = "The server's event loop has stopped"
#: Seconds after which a thread that waits for an event loop checks that the loop still runs.
_LOOK_AGAIN: Final = 1.0


class _Pools:
    """The pool of threads for handlers and the one for clean-up, each made when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By whether it is the one for clean-up.
        self._made: dict[bool, BoundedPool] = {}
        setting_changed.connect(self._drop)

    def get(self, *, ending: bool) -> BoundedPool:
        with self._lock:
            if ending not in self._made:
                name = "channels-end" if ending else "channels-sync"
                self._made[ending] = BoundedPool(sync_threads(), name, keeps=ending)
            return self._made[ending]

    def _drop(self, *, setting: str, **kwargs: object) -> None:
        if setting == "CHANNELS_SYNC_THREADS":
            with self._lock:
                old, self._made = self._made, {}
            for pool in old.values():
                # Handlers that run now are not interrupted; their threads end after them.
                pool.shutdown(wait=False)

    def forget(self) -> None:
        """Begin without pools, in a child process: the threads exist in its parent only."""
        self._lock = threading.Lock()
        self._made = {}


_pools = _Pools()

call_in_children(_pools.forget)


class ThreadCall:
    """One call of a synchronous function, with a way to wait until its thread has left it.

    If the task that waits for the call is cancelled, the thread goes on. `wait` then tells when
    the function has returned.
    """

    __slots__ = (
        "_abandoned",
        "_args",
        "_ended",
        "_function",
        "_lock",
        "_on_start",
        "_started",
        "_waiters",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[object, ...],
        on_start: Callable[[], object] | None = None,
    ) -> None:
        """Keep the function and its arguments.

        Args:
            function: The function.
            args: Its arguments.
            on_start: Called in the running event loop as soon as a thread begins the call.
        """
        self._on_start = on_start and partial(tell, asyncio.get_running_loop(), on_start)
        self._function = function
        self._args = args
        self._lock = threading.Lock()
        self._started = False
        # Whether `wait` was called before a thread began; then the function is never called.
        self._abandoned = False
        self._ended = False
        # Wake the calls of `wait`, each in its own event loop.
        self._waiters: list[Callable[[], object]] = []

    def __call__(self) -> Any:
        """Call the function, in its thread."""
        with self._lock:
            if self._abandoned:
                return None
            self._started = True
        if self._on_start is not None:
            self._on_start()
        try:
            return self._function(*self._args)
        finally:
            with self._lock:
                self._ended = True
                waiters, self._waiters = self._waiters, []
            for wake in waiters:
                wake()

    async def wait(self) -> None:
        """Wait until the thread has left the function; if none has begun, prevent the call."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        with self._lock:
            if not self._started:
                self._abandoned = True
            if self._ended or self._abandoned:
                return
            self._waiters.append(partial(tell, loop, event.set))
        await event.wait()


async def run_in_thread(call: ThreadCall, *, ending: bool = False, pace: Pace | None = None) -> Any:
    """Run a call in a thread, and return its result.

    Usually that is a thread of the pool. There are two exceptions. Under an outer `async_to_sync`,
    as in a Django `TestCase`, it is the thread that called it, since the call must see the
    transaction of that thread. Within a `ThreadSensitiveContext` it is the thread of the context.

    Args:
        call: The call.
        ending: Whether the call is part of a connection's clean-up. Such calls have a pool of
            their own, which handlers that block all other threads cannot block. They also run if
            the task that waits for them is cancelled before they begin.
        pace: The pace of the method, if the event loop may stand still for it.
    """
    if has_outer_thread():
        return await DatabaseSyncToAsync(call, thread_sensitive=True)()
    return await Handling(call, pace).run(_pools.get(ending=ending))


def run_in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any
) -> Any:
    """Run a coroutine function in a consumer's event loop, and wait for it in the calling thread.

    In a handler's thread, the task that waits for the handler runs it, or `async_to_sync` makes a
    task in the same loop. In a thread that the program started, `async_to_sync` would make a new
    loop, in which the connection's objects do not work. So there the coroutine is handed to the
    consumer's loop.

    Args:
        loop: The consumer's event loop.
        function: The coroutine function.
        args: Its arguments.

    Returns:
        The result of the coroutine.

    Raises:
        ConnectionError: The loop has stopped.
    """
    if not loop.is_running():
        # A server that stops may leave handlers running, which would wait here for ever.
        raise ConnectionError(_STOPPED)
    handling = handling_here()
    if handling is not None and handling.loop is loop:
        errand = handling.run_errand(function, args)
        if errand is not None:
            return errand.take_result()
    if is_thread_of_loop(loop) or _has_loop():
        return async_to_sync(function)(*args)
    future = asyncio.run_coroutine_threadsafe(function(*args), loop)
    while loop.is_running():
        done, _ = wait([future], timeout=_LOOK_AGAIN)
        if done and future.cancelled():
            break  # a server that stops cancels every task of its loop
        if done:
            return future.result()
    raise ConnectionError(_STOPPED)


def _has_loop() -> bool:
    """Return whether an event loop runs in this thread; `async_to_sync` refuses to block it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


# By the class of the consumer, and the name of the method.
_paces: Final[WeakKeyDictionary[type, dict[str, Pace]]] = WeakKeyDictionary()


class HandlerThread:
    """Run the handlers of one consumer, one at a time.

    Attributes:
        outer_executor: asgiref's executor of the `async_to_sync` around the connection; None
            without one.
    """

    __slots__ = ("_paces", "_running", "outer_executor")

    def __init__(self) -> None:
        self.outer_executor: Any = None
        # The paces of the consumer's class; None before the first call.
        self._paces: dict[str, Pace] | None = None
        # The call that a thread may still be running; None once it has returned to its task.
        self._running: ThreadCall | None = None

    async def call(
        self,
        consumer: type,
        function: Callable[..., Any],
        args: tuple[object, ...],
        bound: Bound | None,
    ) -> None:
        """Call a method in a thread, and wait for it.

        Args:
            consumer: The class of the consumer.
            function: The method.
            args: Its arguments.
            bound: The time limit of the clean-up; None before it. Its clock stands still while the
                call waits for a free thread.
        """
        call = ThreadCall(function, args, None if bound is None else bound.go_on)
        if get_outer_executor() is not self.outer_executor:
            # A handler has called this through `in_loop` or `async_to_sync`. Its thread waits to
            # run such calls, and `_running` is the handler's own call: waiting for that would never
            # end.
            result = await run_in_thread(call)
        else:
            if self._running is not None:
                # The handler's task was cancelled, but its thread goes on. Wait for it: handlers of
                # one connection never overlap.
                await self._running.wait()
            self._running = call
            if bound is not None:
                bound.pause()
                result = await run_in_thread(call, ending=True)
            else:
                result = await run_in_thread(call, pace=self._pace_of(consumer, function))
            self._running = None
        if asyncio.iscoroutine(result):
            result.close()
            _warn_of_coroutine(consumer, getattr(function, "__name__", str(function)))

    def _pace_of(self, consumer: type, function: Callable[..., Any]) -> Pace:
        """Return the pace of a method, which all consumers of a class share."""
        paces = self._paces
        if paces is None:
            paces = self._paces = _paces.setdefault(consumer, {})
        name = getattr(function, "__name__", "")
        pace = paces.get(name)
        if pace is None:
            pace = paces[name] = Pace()
        return pace

    def in_loop(
        self,
        loop: asyncio.AbstractEventLoop | None,
        function: Callable[..., Coroutine[Any, Any, Any]],
        *args: Any,
    ) -> Any:
        """Run a coroutine function in the connection's event loop, from any thread."""
        if loop is None:  # a consumer without a server, as in a unit test
            return async_to_sync(function)(*args)
        return run_in_loop(loop, function, *args)


@cache
def _warn_of_coroutine(consumer: type, name: str) -> None:
    """Log once for each method that it does nothing, since it is a coroutine method."""
    logger.warning(
        "%s.%s does nothing: it is 'async def', which a SyncConsumer does not wait for. Make it "
        "an ordinary method, or derive the consumer from an async one",
        consumer.__name__,
        name,
    )
