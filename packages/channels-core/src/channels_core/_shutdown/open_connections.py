"""The connections that this process serves now.

A server's end waits for them: those that it has cancelled by `wait_for_cancelled`, and all of them
by `channels_core._shutdown.draining`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from channels_core._cancellation import wait_despite_cancellation
from channels_core.forks import call_in_children

__all__ = [
    "Drainable",
    "Serving",
    "connections_here",
    "connections_of",
    "wait_for_cancelled",
    "when_closed",
    "when_opened",
]


class Drainable(Protocol):
    """A connection that can be ended."""

    options: Any

    def drain(self) -> None:
        """End after the handler that runs now."""

    def cut(self) -> None:
        """Cancel the handler that runs now."""

    def uses_layer(self, layer: object) -> bool:
        """Return whether the connection receives from a channel layer."""


#: With the event loop that serves each.
_connections: Final[dict[Drainable, asyncio.AbstractEventLoop]] = {}
#: The servers' tasks, also those for a job of a worker or another application's protocol.
_tasks: Final[set[asyncio.Task[Any]]] = set()


def _forget() -> None:
    # The connections of a parent process are its own.
    _connections.clear()
    _tasks.clear()


call_in_children(_forget)

_on_opened: Final[list[Callable[[], None]]] = []
_on_closed: Final[list[Callable[[], None]]] = []

#: Seconds. Each consumer bounds its own clean-up; this is for what never ends.
_LONGEST: Final = 30.0


def when_opened(function: Callable[[], None]) -> None:
    """Have a function called after each new connection."""
    _on_opened.append(function)


def when_closed(function: Callable[[], None]) -> None:
    """Have a function called after the end of each connection."""
    _on_closed.append(function)


class Serving:
    """A context in which the present task serves a connection."""

    __slots__ = ("_connection", "_task")

    def __init__(self, connection: Drainable | None) -> None:
        """Take the connection, or None if it does not end before the server."""
        self._connection = connection

    def __enter__(self) -> None:
        """Record the connection."""
        task = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio is running
        # If a consumer calls another one, the server's end waits for the outer one.
        self._task: asyncio.Task[Any] | None = None if task in _tasks else task
        if self._task is not None:
            _tasks.add(task)
        if self._connection is not None:
            _connections[self._connection] = task.get_loop()
            for function in _on_opened:
                function()

    def __exit__(self, *exc_info: object) -> None:
        """Forget the connection."""
        if self._task is not None:
            _tasks.discard(self._task)
        if self._connection is not None:
            _connections.pop(self._connection, None)
            for function in _on_closed:
                function()


def connections_of(loop: asyncio.AbstractEventLoop) -> list[Drainable]:
    """Return the connections that an event loop serves."""
    return [each for each, its_loop in list(_connections.items()) if its_loop is loop]


def connections_here() -> list[Drainable]:
    """Return the connections that the running event loop serves."""
    return connections_of(asyncio.get_running_loop())


async def wait_for_cancelled() -> None:
    """Wait for the connections of this event loop that a server has cancelled to end.

    A server that has waited long enough cancels them, tells the application that it ends, and does
    not wait for them. Their clean-up would be cut off with the process.
    """
    loop = asyncio.get_running_loop()
    cancelled = [task for task in list(_tasks) if task.get_loop() is loop and task.cancelling()]
    await wait_despite_cancellation(cancelled, _LONGEST)
