"""Which connections are being served, so that a server's end can wait for their clean-up."""

import asyncio
from types import TracebackType
from typing import Any, Final

from channels_core._dispatch import wait_despite_cancellation
from channels_core._draining import Drainable, draining
from channels_core.forks import call_in_children

__all__ = ["Serving", "connections_here", "wait_for_cancelled"]

# With the connection that each serves; None for what is no connection of a client.
_tasks: Final[dict[asyncio.Task[Any], Drainable | None]] = {}
call_in_children(_tasks.clear)

#: Seconds. Each consumer bounds its own clean-up; this is for what never ends.
_LONGEST: Final = 30.0


class Serving:
    """A context in which the present task serves a connection."""

    __slots__ = ("_connection", "_task")

    def __init__(self, connection: Drainable | None = None) -> None:
        """Take the connection, if it is to be ended before the server."""
        self._connection = connection

    def __enter__(self) -> None:
        """Take note of the task."""
        task = asyncio.current_task()
        assert task is not None  # an asyncio program is running us
        # Of a consumer that another one calls, the outer one is what is waited for.
        self._task: asyncio.Task[Any] | None = None if task in _tasks else task
        if self._task is not None:
            _tasks[task] = self._connection
        if self._connection is not None:
            draining.add(self._connection)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget it."""
        if self._task is not None:
            _tasks.pop(self._task, None)
        if self._connection is not None:
            draining.discard(self._connection)


def connections_here() -> list[Drainable]:
    """Return the connections that are being served in this event loop."""
    loop = asyncio.get_running_loop()
    return [each for task, each in _tasks.items() if each is not None and task.get_loop() is loop]


async def wait_for_cancelled() -> None:
    """Wait for the connections of this event loop that a server has cancelled to end.

    A server that has waited long enough cancels them, tells the application that it ends, and
    then does not wait for them: what they have to clean up would be cut off with the process.
    """
    loop = asyncio.get_running_loop()
    cancelled = [task for task in list(_tasks) if task.get_loop() is loop and task.cancelling()]
    await wait_despite_cancellation(cancelled, _LONGEST)
