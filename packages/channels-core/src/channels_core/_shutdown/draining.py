"""End connections in good order before their server does, once it is told to stop.

A server that gets SIGTERM cancels its applications in the middle of what they do, as Daphne, or
waits for them without a word, as Uvicorn does with a stream of events. So the signal is taken
first, where a server has a handler for it: each consumer ends what it is doing, says goodbye and
cleans up. Then the server gets its signal.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from channels_core._settings import drain_timeout
from channels_core._shutdown.loop_signals import LoopSignals
from channels_core._shutdown.open_connections import (
    Drainable,
    OpenConnections,
    open_connections,
)
from channels_core.forks import call_in_children

__all__ = ["Draining", "draining"]

logger = logging.getLogger("django.channels.drain")

#: The handler of SIGTERM is looked at first: without one, nobody here stops gracefully.
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Draining:
    """The connections of an event loop, and whether its process was told to stop.

    Attributes:
        connections: The connections.
        begun: Whether it was. New connections are to end at once then.
    """

    def __init__(self, connections: OpenConnections) -> None:
        """Watch the connections of a process."""
        self.connections = connections
        connections.on_opened.append(self.opened)
        connections.on_closed.append(self.closed)
        self._previous: dict[int, Callable[[int, FrameType | None], Any]] = {}
        # One object: a bound method would be a new one each time that it is named.
        self._handler = self._on_signal
        self._loop_signals = LoopSignals(self._is_ours)
        self.forget()

    def forget(self) -> None:
        """Have no connections; also in a child process, where those are the parent's to end."""
        self.begun = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop_signals.forget()

    def opened(self) -> None:
        """Take the signals if that is not done, now that there is a connection."""
        if signal.getsignal(signal.SIGTERM) is not self._handler:
            self._take_signals()

    def closed(self) -> None:
        """Go on with the end of the process after the last connection."""
        if self._ended is not None and not self._open:
            self._ended.set()

    @property
    def _open(self) -> list[Drainable]:
        """The connections of the event loop in whose thread signals arrive."""
        return [] if self._loop is None else self.connections.of(self._loop)

    def _take_signals(self) -> None:
        """Come before the handlers of a server, if there is one in the main thread."""
        if not (
            callable(signal.getsignal(signal.SIGTERM))
            and threading.current_thread() is threading.main_thread()
            and drain_timeout()
        ):
            return
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous) and previous is not self._handler:
                self._previous[number] = previous
                signal.signal(number, self._handler)
        # A server may have set them by `loop.add_signal_handler`.
        self._loop_signals.take()
        # Another server than before, perhaps, which was not told anything yet.
        self._loop = asyncio.get_running_loop()
        self.begun = False

    def _is_ours(self, number: int) -> bool:
        """Return whether the server is told of a signal by us."""
        return signal.getsignal(number) is self._handler

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Tell the server, in the way by which it wants to be told."""
        self._previous[number](number, frame)
        self._loop_signals.pass_on(number)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        loop = self._loop
        idle = not self._open or loop is None or loop.is_closed()
        # Told a second time, it is to end at once.
        at_once = self.begun or idle
        self.begun = True
        if at_once or loop is None:
            self._pass_on(number, frame)
        else:
            loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = asyncio.get_running_loop().create_task(self._drain(number))

    async def _drain(self, number: int) -> None:
        """End all connections, then hand the signal on."""
        name = signal.Signals(number).name
        logger.info("%s: %s connections are ended before the server", name, len(self._open))
        ended = self._ended = asyncio.Event()
        try:
            for connection in self._open:
                connection.drain()
            await self._wait(ended, drain_timeout())
            if self._open:
                logger.warning(
                    "%s connections did not end within CHANNELS_DRAIN_TIMEOUT; what they do is "
                    "cut short",
                    len(self._open),
                )
                longest = max(each.options["cleanup_timeout"] for each in self._open)
                for connection in self._open:
                    connection.cut()
                await self._wait(ended, longest)
        finally:
            self._ended = None
            self._pass_on(number, None)

    async def _wait(self, ended: asyncio.Event, seconds: float) -> None:
        """Wait until all connections have ended, or for some seconds."""
        ended.clear()
        if self._open:
            timer = asyncio.get_running_loop().call_later(seconds, ended.set)
            await ended.wait()
            timer.cancel()


#: Of this process.
draining: Final = Draining(open_connections)
call_in_children(draining.forget)
