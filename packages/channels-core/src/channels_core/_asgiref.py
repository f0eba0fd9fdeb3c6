"""What Channels knows of the inside of asgiref: in which thread synchronous code has to run.

Under an `async_to_sync`, as in a Django `TestCase`, the calling thread waits and runs whatever
synchronous code the event loop gives it: its *outer executor*. Only that thread sees the test's
transaction. asgiref has no public way to ask for it.

Source: `asgiref.sync.AsyncToSync` and `SyncToAsync`, asgiref 3.13.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from asgiref import local
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync
from asgiref.sync import _restore_context as copy_variables

__all__ = [
    "WaitingThread",
    "copy_variables",
    "get_outer_executor",
    "has_outer_thread",
    "is_thread_of_loop",
    "restore_outer_executor",
    "set_outer_executor",
]


# The variable behind `AsyncToSync.executors`. Nothing is in it unless an `async_to_sync` has run in
# this context, and asking it takes 0.1 us, while a missing attribute of the `Local` takes 9 us.
_storage: Any = getattr(vars(AsyncToSync.executors).get("_storage"), "_data", None)
_variable: Final[ContextVar[Any] | None] = _storage if isinstance(_storage, ContextVar) else None
# What that variable holds; None for an older asgiref.
_holder: Any = getattr(local, "_Storage", None) if _variable is not None else None


def _has_executors() -> bool:
    """Return whether `AsyncToSync.executors` may have a value in this task."""
    return _variable is None or _variable.get(None) is not None


def get_outer_executor() -> Any:
    """Return the executor of the `async_to_sync` around this task; None outside of one."""
    # As `_has_executors`, without its call.
    if _variable is not None and _variable.get(None) is None:
        return None
    return getattr(AsyncToSync.executors, "current", None)


def set_outer_executor(executor: Any) -> None:
    """Set the outer executor of this task."""
    if _variable is None or _holder is None:  # pragma: no cover - asgiref before 3.13
        AsyncToSync.executors.current = executor
    elif executor is None:
        _variable.set(None)
    else:
        # The attribute would take 3 us, and again to reset it, and then for each time it is read.
        _variable.set(_holder(threading.get_ident(), {"current": executor}))


def restore_outer_executor(executor: Any) -> None:
    """Set the outer executor of this task to what `get_outer_executor` has returned before.

    A call of `async_to_sync` that was cancelled halfway leaves its own executor behind, and no
    thread serves that one any more.
    """
    if executor is None and not _has_executors():
        return
    set_outer_executor(executor)


def has_outer_thread() -> bool:
    """Return whether synchronous code has to run in a certain thread, and not in any.

    That is the thread of an `async_to_sync` around this task or around its whole event loop, or
    the thread of a `ThreadSensitiveContext` that the program has entered.
    """
    return bool(
        get_outer_executor()
        or asyncio.get_running_loop() in AsyncToSync.loop_thread_executors
        or SyncToAsync.thread_sensitive_context.get(None)
    )


def is_thread_of_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this thread was started by `sync_to_async` in an event loop.

    `async_to_sync` then runs coroutines in that loop; in other threads it makes a new loop.
    """
    return getattr(SyncToAsync.threadlocal, "main_event_loop", None) is loop


class WaitingThread:
    """A thread that waits for a coroutine, and meanwhile runs what `sync_to_async` gives to it.

    To the coroutine this is the outer executor. Few coroutines use it, so that asgiref's own
    object, with its lock and its condition (9 us), is made at the first use.
    """

    __slots__ = ("_ended", "_executor", "_is_over", "_run", "_thread")

    def __init__(self, thread: threading.Thread, run: Callable[[Callable[[], object]], object]):
        """Begin with the coroutine.

        Args:
            thread: The thread.
            run: Has the thread call a function.
        """
        self._thread = thread
        self._run = run
        self._executor: CurrentThreadExecutor | None = None
        self._ended: Future[None]
        self._is_over = False

    def end(self) -> None:
        """Record that the coroutine has ended; its thread is not given any more to do."""
        self._is_over = True
        if self._executor is not None:
            self._ended.set_result(None)  # a thread that runs it leaves it then

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of asgiref's executor: its `submit`, or what a nested one reads."""
        executor = self._executor
        if executor is None:
            executor = self._executor = CurrentThreadExecutor(None)
            executor._work_thread = self._thread
            self._ended = Future()
            if self._is_over:
                executor._broken = True
            else:
                self._run(partial(executor.run_until_future, self._ended))
        return getattr(executor, name)
