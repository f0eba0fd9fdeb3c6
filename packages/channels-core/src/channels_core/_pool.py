"""A bounded pool of threads that a program's end does not wait for without bound."""

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

# Seconds that the calls which are under way at the program's end are given.
_EXIT_SECONDS: Final = 10

_Work: TypeAlias = tuple[Future[Any], Callable[[], Any]]

_pools: "weakref.WeakSet[BoundedPool]" = weakref.WeakSet()


class BoundedPool(Executor):
    """Run calls in threads, as `ThreadPoolExecutor` does, but never hold up the program's end.

    A server may stop its event loop while a call waits for that loop, which is then for ever. The
    standard pool would have the interpreter wait as long; this one's threads are daemons, and get
    a bounded time at the end.
    """

    def __init__(self, size: int, name: str, *, keeps: bool = False) -> None:
        """Start empty.

        Args:
            size: How many threads there are at most.
            name: What their names start with.
            keeps: Whether a call runs also if it is cancelled while it waits for a thread.
        """
        self._keeps = keeps
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0
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
            if not self._idle.acquire(blocking=False) and self._threads < self._size:
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
                except BaseException as error:  # noqa: BLE001 - it is the future's
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            # A thread that waits must not keep a connection's objects alive.
            del work, future, call
            with self._lock:
                self._unfinished -= 1
                self._finished.notify_all()
            self._idle.release()

    def wait(self, seconds: float) -> bool:
        """Wait until no call is under way or queued; False if that took too long."""
        with self._lock:
            return self._finished.wait_for(lambda: not self._unfinished, max(0.0, seconds))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads, after the calls that are under way or queued.

        Source: `concurrent.futures.Executor.shutdown`.
        """
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)
        if wait:
            self.wait(threading.TIMEOUT_MAX)


def drain(seconds: float = _EXIT_SECONDS) -> bool:
    """Give the calls of all pools some time to end; False if some have not."""
    deadline = time.monotonic() + seconds
    return all(pool.wait(deadline - time.monotonic()) for pool in list(_pools))


atexit.register(drain)

# A child process has none of the threads that would end what its parent has under way.
call_in_children(_pools.clear)
