"""What Channels knows of the inside of asgiref: in which thread synchronous code has to run.

Under an `async_to_sync`, as in a Django `TestCase`, the calling thread waits and runs whatever
synchronous code the event loop gives it: its *outer executor*. Only that thread sees the test's
transaction. asgiref has no public way to ask for it.

Source: `asgiref.sync.AsyncToSync` and `SyncToAsync`, asgiref 3.13.
"""

import asyncio
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync

__all__ = [
    "get_outer_executor",
    "has_outer_thread",
    "is_thread_of_loop",
    "restore_outer_executor",
]


def get_outer_executor() -> Any:
    """Return the executor of the `async_to_sync` around this task; None outside of one."""
    return getattr(AsyncToSync.executors, "current", None)


def restore_outer_executor(executor: Any) -> None:
    """Set the outer executor of this task to what `get_outer_executor` has returned before.

    A call of `async_to_sync` that was cancelled halfway leaves its own executor behind, and no
    thread serves that one any more.
    """
    AsyncToSync.executors.current = executor


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
