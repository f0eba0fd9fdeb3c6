"""A bounded pool of threads that cannot hold up the end of the program.

A server may stop its event loop while a call in a thread still waits for that loop, and such a call
never returns. `ThreadPoolExecutor` has the interpreter wait for all of its threads at the end. The
threads of `BoundedPool` are daemons: `drain`, an exit function, gives their calls 10 seconds.
"""

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, TypeAlias

from channels_core.forks import call_in_children

__all__ = ["BoundedPool", "drain"]

# Seconds that running and queued calls have at the end of the program.
_EXIT_SECONDS: Final = 10

_Work: TypeAlias = tuple[Future[Any], Callable[[], Any]]

_pools: "weakref.WeakSet[BoundedPool]" = weakref.WeakSet()


class BoundedPool(Executor):
    """Run calls in threads, as `ThreadPoolExecutor` does, but in daemon threads."""

    def __init__(self, size: int, name: str, *, keeps: bool = False) -> None:
        """Start without a thread.

        Args:
            size: The largest number of threads.
            name: The beginning of the threads' names.
            keeps: Whether a call also runs if it is cancelled while it waits for a thread.
        """
        self._keeps = keeps
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        # The calls that wait for a thread; a None ends the thread that takes it.
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        # The number of threads that have finished a call and have not been promised another one.
        self._idle = 0
        # The number of threads that were started.
        self._threads = 0
        # The number of calls that run or wait; `_finished` is notified whenever it falls.
        self._unfinished = 0
        self._finished = threading.Condition(self._lock)
        _pools.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a thread, as soon as one is free.

        Source: `concurrent.futures.Executor.submit`.
        """
        future: Future[Any] = Future()
        if self._keeps:
            future.set_running_or_notify_cancel()
        with self._lock:
            self._unfinished += 1
            self._work.put((future, partial(fn, *args, **kwargs)))
            # Only if no thread is idle, another one is started.
            if self._idle:
                self._idle -= 1
            elif self._threads < self._size:
                self._threads += 1
                threading.Thread(
                    target=self._run, name=f"{self._name}_{self._threads}", daemon=True
                ).start()
        return future

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, call = work
            if self._keeps or future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - the future raises it
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            # An idle thread must not keep a connection's objects alive.
            del work, future, call
            with self._lock:
                self._unfinished -= 1
                self._idle += 1
                self._finished.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until all calls have finished; return False if that took too long."""
        with self._lock:
            return self._finished.wait_for(lambda: not self._unfinished, max(0.0, seconds))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads, after the calls that run or wait now.

        Source: `concurrent.futures.Executor.shutdown`.
        """
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)
        if wait:
            self.wait(threading.TIMEOUT_MAX)


def drain(seconds: float = _EXIT_SECONDS) -> bool:
    """Wait some seconds for the calls of all pools; return False if some have not finished."""
    deadline = time.monotonic() + seconds
    return all(pool.wait(deadline - time.monotonic()) for pool in list(_pools))


atexit.register(drain)

# A child process does not have the threads of its parent, so it must not wait for their calls.
call_in_children(_pools.clear)
