"""Run the handlers of synchronous consumers: in parallel, in a bounded pool of threads."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from functools import cache, partial
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.core.signals import setting_changed

from channels_core._asgiref import get_outer_executor, has_outer_thread, is_thread_of_loop
from channels_core._cancellation import Bound
from channels_core._connection.sqlite_turns import call_in_turn
from channels_core._pool import BoundedPool
from channels_core._settings import sync_threads
from channels_core.db import DatabaseSyncToAsync
from channels_core.forks import call_in_children

__all__ = ["HandlerThread", "ThreadCall", "run_in_loop", "run_in_thread"]

logger: Final = logging.getLogger("django.channels.consumer")

_STOPPED: Final = "The server's event loop has stopped"
#: Seconds between two looks at whether a loop that should answer still runs.
_LOOK_AGAIN: Final = 1.0


class _Pools:
    """The pool of threads, and one like it for the ends of connections, made when needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
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
                # Handlers that run now go on; their threads end after them.
                pool.shutdown(wait=False)

    def forget(self) -> None:
        """Start anew in a child process, which has this one's memory and none of its threads."""
        self._lock = threading.Lock()
        self._made = {}


_pools = _Pools()

call_in_children(_pools.forget)


class ThreadCall:
    """One call of a synchronous function, of which one can learn when its thread has left it."""

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
        """Take what to call.

        Args:
            function: The function.
            args: Its arguments.
            on_start: Called in the present event loop as soon as a thread has begun.
        """
        self._on_start = on_start and partial(_tell, asyncio.get_running_loop(), on_start)
        self._function = function
        self._args = args
        self._lock = threading.Lock()
        self._started = False
        self._abandoned = False
        self._ended = False
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
        """Wait until the thread has left the function, or see to it that none enters it."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        with self._lock:
            if not self._started:
                self._abandoned = True
            if self._ended or self._abandoned:
                return
            self._waiters.append(partial(_tell, loop, event.set))
        await event.wait()


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    # A call that nobody waits for any more may outlive its event loop.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


async def run_in_thread(call: ThreadCall, *, ending: bool = False) -> Any:
    """Run a call in the thread that fits.

    That is a thread of the pool; but the caller's thread under an outer `async_to_sync` (as in
    a Django `TestCase`), whose transaction the call must see, and the thread of a
    `ThreadSensitiveContext` where a program has entered one.

    Args:
        call: What to call.
        ending: Whether it ends a connection. Such calls have a pool to themselves, so that
            handlers which block all threads of the other one do not keep them from running. They
            run also if whoever waits for them is cancelled before.
    """
    if has_outer_thread():
        return await DatabaseSyncToAsync(call, thread_sensitive=True)()
    executor: Any = _pools.get(ending=ending)  # asgiref names a subclass, and needs none
    in_turn = partial(call_in_turn, call)
    return await DatabaseSyncToAsync(in_turn, thread_sensitive=False, executor=executor)()


def run_in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any
) -> Any:
    """Run a coroutine function in an event loop, and wait for it in the present thread.

    A handler's thread belongs to its consumer's loop, and `async_to_sync` knows that. In a thread
    that the program started, it would make another loop, to which no connection belongs.

    Args:
        loop: The consumer's event loop.
        function: The coroutine function.
        args: Its arguments.

    Returns:
        What it returns.

    Raises:
        ConnectionError: The loop has stopped.
    """
    if not loop.is_running():
        # A server that stops may leave handlers behind, which would wait here for ever.
        raise ConnectionError(_STOPPED)
    if is_thread_of_loop(loop) or _has_loop():
        return async_to_sync(function)(*args)
    future = asyncio.run_coroutine_threadsafe(function(*args), loop)
    while loop.is_running():
        done, _ = wait([future], timeout=_LOOK_AGAIN)
        if done and future.cancelled():
            break  # as a server's end does with every task
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


class HandlerThread:
    """Run the handlers of one consumer, one at a time.

    Attributes:
        outer_executor: What `async_to_sync` has set up around the connection; None without it.
    """

    __slots__ = ("_running", "outer_executor")

    def __init__(self) -> None:
        self.outer_executor: Any = None
        # The call whose thread may still be in it; None when its end was seen.
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
            bound: How long the end of the connection may take; None before it.
        """
        call = ThreadCall(function, args, None if bound is None else bound.go_on)
        if get_outer_executor() is not self.outer_executor:
            # Called by a handler through async_to_sync: its own thread waits to be used.
            result = await run_in_thread(call)
        else:
            if self._running is not None:
                # A cancelled handler's thread goes on; handlers of one connection never overlap.
                await self._running.wait()
            self._running = call
            if bound is not None:
                bound.pause()
            result = await run_in_thread(call, ending=bound is not None)
            self._running = None
        if asyncio.iscoroutine(result):
            result.close()
            _warn_of_coroutine(consumer, getattr(function, "__name__", str(function)))

    def in_loop(
        self,
        loop: asyncio.AbstractEventLoop | None,
        function: Callable[..., Coroutine[Any, Any, Any]],
        *args: Any,
    ) -> Any:
        """Run a coroutine function in the connection's event loop, from any thread."""
        if loop is None:  # a consumer that is called by hand, as in a unit test
            return async_to_sync(function)(*args)
        return run_in_loop(loop, function, *args)


@cache
def _warn_of_coroutine(consumer: type, name: str) -> None:
    """Log once that a method of a sync consumer does nothing."""
    logger.warning(
        "%s.%s does nothing: it is 'async def', which a SyncConsumer does not wait for. Make it "
        "an ordinary method, or derive the consumer from an async one",
        consumer.__name__,
        name,
    )
