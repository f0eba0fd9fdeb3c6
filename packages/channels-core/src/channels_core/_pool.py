"""A bounded pool of threads that cannot hold up the end of the program.

A server may stop its event loop while a call in a thread still waits for that loop, and such a call
never returns. `ThreadPoolExecutor` has the interpreter wait for all of its threads at the end. The
threads of `BoundedPool` are daemons: `drain`, an exit function, gives their calls 10 seconds.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Final, TypeAlias

from channels_core._bell import Bell, bell_here
from channels_core.forks import call_in_children

__all__ = ["BoundedPool", "drain"]

# Seconds that running and queued calls have at the end of the program.
_EXIT_SECONDS: Final = 10

# A call that does not raise. It returns a function that tells of its end.
_Work: TypeAlias = Callable[[], Callable[[], object]]

_pools: weakref.WeakSet[BoundedPool] = weakref.WeakSet()


class _Worker:
    """A thread of a pool.

    Attributes:
        bell: Wakes it; set by the thread itself.
        ends: Whether it ends instead of waiting for a call.
        work: The call that it was given.
    """

    __slots__ = ("bell", "ends", "work")

    bell: Bell

    def __init__(self, work: _Work) -> None:
        self.ends = False
        self.work: _Work | None = work

    def next(self) -> _Work | None:
        """Wait for the next call; None if the thread is to end."""
        while self.work is None and not self.ends:
            self.bell.wait()
        work, self.work = self.work, None
        return work


class BoundedPool(Executor):
    """Run calls in threads, as `ThreadPoolExecutor` does, but in daemon threads.

    Attributes:
        keeps: Whether a call also runs if it is cancelled while it waits for a thread.
    """

    def __init__(self, size: int, name: str, *, keeps: bool = False) -> None:
        """Start without a thread.

        Args:
            size: The largest number of threads.
            name: The beginning of the threads' names.
            keeps: The attribute of this name.
        """
        self.keeps: bool = keeps
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        # The calls that wait for a thread.
        self._waiting: deque[_Work] = deque()
        # The threads without a call, in the order in which they became idle.
        self._idle: list[_Worker] = []
        # The number of threads.
        self._threads = 0
        self._is_shut = False
        # The number of calls that run or wait; `_finished` is notified whenever it falls.
        self._unfinished = 0
        self._finished = threading.Condition(self._lock)
        _pools.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a thread, as soon as one is free.

        Source: `concurrent.futures.Executor.submit`.
        """
        future: Future[Any] = Future()
        if self.keeps:
            future.set_running_or_notify_cancel()
        self.start(partial(_settle, future, self.keeps, partial(fn, *args, **kwargs)))
        return future

    def start(self, work: _Work) -> bool:
        """Run a call in a thread as soon as one is free, without a future.

        Args:
            work: The call. The function that it returns is called when the thread counts as free,
                so that whoever learns of the end finds it free.

        Returns:
            Whether an idle thread has taken the call.
        """
        with self._lock:
            self._unfinished += 1
            if not self._idle:
                # Only if no thread is idle, another one is started.
                if self._threads < self._size:
                    self._threads += 1
                    # A thread keeps its arguments, so that they must not hold the call.
                    args = (_Worker(work),)
                    name = f"{self._name}_{self._threads}"
                    threading.Thread(target=self._run, args=args, name=name, daemon=True).start()
                else:
                    self._waiting.append(work)
                return False
            # The one that ran last: what it needs is still in the processor's caches.
            worker = self._idle.pop()
            worker.work = work
        worker.bell.ring()
        return True

    def _run(self, worker: _Worker) -> None:
        worker.bell = bell_here()
        while (work := worker.next()) is not None:
            tell = work()
            # An idle thread must not keep a connection's objects alive.
            del work
            with self._lock:
                self._unfinished -= 1
                if self._waiting:
                    worker.work = self._waiting.popleft()
                elif self._is_shut:
                    worker.ends = True
                    self._threads -= 1
                else:
                    self._idle.append(worker)
                self._finished.notify_all()
            tell()
            del tell

    def wait(self, seconds: float) -> bool:
        """Wait until all calls have finished; return False if that took too long."""
        with self._lock:
            return self._finished.wait_for(lambda: not self._unfinished, max(0.0, seconds))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads, after the calls that run or wait now.

        Source: `concurrent.futures.Executor.shutdown`.
        """
        with self._lock:
            self._is_shut = True
            idle, self._idle = self._idle, []
            self._threads -= len(idle)
        for worker in idle:
            worker.ends = True
            worker.bell.ring()
        if wait:
            self.wait(threading.TIMEOUT_MAX)


def _settle(future: Future[Any], is_running: bool, call: Callable[[], Any]) -> Callable[[], object]:
    """Make a call, unless it was cancelled while it waited; return what settles its future."""
    if not (is_running or future.set_running_or_notify_cancel()):
        return _tell_nobody
    try:
        return partial(future.set_result, call())
    except BaseException as error:  # noqa: BLE001 - the future raises it
        return partial(future.set_exception, error)
    finally:
        # The exception's traceback holds this frame: leave no circle to the garbage collector.
        del future, call


def _tell_nobody() -> None:
    """Do nothing at the end of a call that was cancelled."""


def drain(seconds: float = _EXIT_SECONDS) -> bool:
    """Wait some seconds for the calls of all pools; return False if some have not finished."""
    deadline = time.monotonic() + seconds
    return all(pool.wait(deadline - time.monotonic()) for pool in list(_pools))


atexit.register(drain)

# A child process does not have the threads of its parent, so it must not wait for their calls.
call_in_children(_pools.clear)
