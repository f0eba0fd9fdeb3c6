"""The connections that this process serves now.

Two things at a server's end need to know them. `channels_core._shutdown.draining` ends all clients'
connections when a signal arrives, and `wait_for_cancelled` waits for the clean-up of those that the
server has cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from channels_core._cancellation import wait_despite_cancellation
from channels_core.forks import call_in_children

__all__ = [
    "OpenConnections",
    "connections_here",
    "open_connections",
    "record_cancelled",
    "serving_begins",
    "serving_ends",
    "wait_for_cancelled",
]


if TYPE_CHECKING:
    from typing import Protocol

    class Drainable(Protocol):
        """A connection that can be ended.

        Attributes:
            options: Holds `cleanup_timeout`, the seconds that its clean-up may take.
        """

        options: Any

        def drain(self) -> None:
            """End after the handler that runs now."""

        def cut(self) -> None:
            """Cancel the handler that runs now."""

        def uses_layer(self, layer: object) -> bool:
            """Return whether the connection receives from a channel layer."""


class OpenConnections:
    """The clients' connections that are served now, each with its event loop.

    Attributes:
        on_opened: Functions to call after each new connection.
        on_closed: Functions to call after the end of each connection.
        loops: The open connections, each with the event loop that serves it.
    """

    def __init__(self) -> None:
        self.on_opened: list[Callable[[], None]] = []
        self.on_closed: list[Callable[[], None]] = []
        self.loops: dict[Drainable, asyncio.AbstractEventLoop] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> list[Drainable]:
        """Return the connections that an event loop serves."""
        return [each for each, its_loop in list(self.loops.items()) if its_loop is loop]

    def forget(self) -> None:
        """Forget all connections; for a child process, since they belong to its parent."""
        self.loops.clear()


#: The ones of this process.
open_connections: Final = OpenConnections()
call_in_children(open_connections.forget)

#: The tasks in which servers and workers have called a consumer, for any protocol.
_tasks: Final[set[asyncio.Task[Any]]] = set()
call_in_children(_tasks.clear)
#: Tasks that were cancelled, are cleaning up, and whose count of cancellations is reset meanwhile.
_cancelled: Final[set[asyncio.Task[Any]]] = set()
call_in_children(_cancelled.clear)

#: Seconds that the server's end waits at most. Each consumer bounds its own clean-up before.
_LONGEST: Final = 30.0


def serving_begins(
    connection: Drainable | None, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]
) -> asyncio.Task[Any] | None:
    """Record that the present task serves a connection.

    Args:
        connection: The connection; None for a job of a worker, which no signal ends.
        loop: The running event loop. Python 3.11 asks the system each time that it looks for it.
        task: The present task.

    Returns:
        The task, for `serving_ends`. None if it serves another connection already: if a consumer
        calls another one, the server's end waits for the outer one.
    """
    if connection is not None:
        open_connections.loops[connection] = loop
        for function in open_connections.on_opened:
            function()
    if task in _tasks:
        return None
    _tasks.add(task)
    return task


def serving_ends(connection: Drainable | None, task: asyncio.Task[Any] | None) -> None:
    """Record the end of what `serving_begins` has recorded."""
    if task is not None:
        _tasks.discard(task)
        if _cancelled:
            _cancelled.discard(task)
    if connection is not None:
        open_connections.loops.pop(connection, None)
        for function in open_connections.on_closed:
            function()


def connections_here() -> list[Drainable]:
    """Return the connections that the running event loop serves."""
    return open_connections.of(asyncio.get_running_loop())


def record_cancelled(task: asyncio.Task[Any]) -> None:
    """Record that a task which serves a connection was cancelled, and cleans up."""
    if task in _tasks:
        _cancelled.add(task)


async def wait_for_cancelled() -> None:
    """Wait until the connections of this event loop that a server has cancelled have ended.

    A server whose time limit is over cancels its connections and sends `lifespan.shutdown`, but
    does not wait for the connections. Without this wait, the process would end during their
    clean-up.
    """
    loop = asyncio.get_running_loop()
    cancelled = [
        task
        for task in list(_tasks)
        if task.get_loop() is loop and (task.cancelling() or task in _cancelled)
    ]
    await wait_despite_cancellation(cancelled, _LONGEST)
