"""End the connections of a process in good order, before its server stops.

A server that gets SIGTERM either cancels its applications in the middle of a handler (Daphne), or
waits for them without telling them (Uvicorn, for a stream of events). So we take the signal first:

1. When the first connection opens, `_take_signals` replaces the server's handlers of SIGTERM and
   SIGINT by ours, if the server has any.
2. When a signal arrives, `_on_signal` asks each open connection to end: it lets its handler finish,
   closes its WebSocket with 1012 and cleans up. Connections that open from now on end at once.
3. After `CHANNELS_DRAIN_TIMEOUT` seconds, the handlers that still run are cancelled.
4. When the last connection has ended, `_pass_on` calls the server's own handler, and the server
   stops. A second signal is passed on at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from channels_core._settings import drain_timeout
from channels_core._shutdown.open_connections import (
    OpenConnections,
    open_connections,
)
from channels_core.forks import call_in_children

if TYPE_CHECKING:
    from channels_core._shutdown.loop_signals import LoopSignals
    from channels_core._shutdown.open_connections import Drainable

__all__ = ["Draining", "draining"]

logger = logging.getLogger("django.channels.drain")

#: A server that stops gracefully has a handler for SIGTERM. Without one, no signal is taken.
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_SIGTERM: Final = int(signal.SIGTERM)

# The function behind `signal.getsignal`, which converts its result to an enum: that takes 5 us for
# a server's handler, with each connection.
_getsignal: Final[Callable[[int], Any]] = getattr(signal, "_signal", signal).getsignal


class Draining:
    """Takes the stop signals of this process, and ends its connections first.

    Attributes:
        connections: The open connections of the process.
        begun: Whether a stop signal has arrived. If so, new connections end at once.
    """

    def __init__(self, connections: OpenConnections) -> None:
        """Watch the connections of a process."""
        self.connections = connections
        connections.on_opened.append(self.opened)
        connections.on_closed.append(self.closed)
        # The server's handlers, by the number of the signal.
        self._previous: dict[int, Callable[[int, FrameType | None], Any]] = {}
        # Kept, since `self._on_signal` is a new object each time, and this one is compared.
        self._handler = self._on_signal
        # Made, and its module loaded, when a server's signals are taken.
        self._loop_signals: LoopSignals | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew; also in a child process, whose parent ends the connections."""
        self.begun = False
        # The event loop of the main thread, whose connections are ended; None before the first.
        self._loop: asyncio.AbstractEventLoop | None = None
        # Set when the last connection has ended; None unless `_drain` runs.
        self._ended: asyncio.Event | None = None
        # The task of `_drain`: event loops hold their tasks weakly.
        self._task: asyncio.Task[None] | None = None
        if self._loop_signals is not None:
            self._loop_signals.forget()

    def opened(self) -> None:
        """Take the signals, if they are not taken yet."""
        handler = _getsignal(_SIGTERM)
        if handler is not self._handler and callable(handler):
            self._take_signals()

    def closed(self) -> None:
        """Wake `_drain` after the end of the last connection."""
        if self._ended is not None and not self._open:
            self._ended.set()

    @property
    def _open(self) -> list[Drainable]:
        """The connections of the event loop in the main thread."""
        return [] if self._loop is None else self.connections.of(self._loop)

    def _take_signals(self) -> None:
        """Replace the server's signal handlers by ours, if it has any, in the main thread."""
        if threading.current_thread() is not threading.main_thread() or not drain_timeout():
            return
        if self._loop_signals is None:
            from channels_core._shutdown.loop_signals import LoopSignals

            self._loop_signals = LoopSignals(self._is_ours)
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous) and previous is not self._handler:
                self._previous[number] = previous
                signal.signal(number, self._handler)
        # The server may have set its handlers by `loop.add_signal_handler`.
        self._loop_signals.take()
        # The handlers may belong to a second server, which has not got a signal yet.
        self._loop = asyncio.get_running_loop()
        self.begun = False

    def _is_ours(self, number: int) -> bool:
        """Return whether our handler takes a signal, and passes it on to the server later."""
        return signal.getsignal(number) is self._handler

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Give the signal to the server, as an ordinary handler or through its event loop."""
        assert self._loop_signals is not None  # made before our handler
        self._previous[number](number, frame)
        self._loop_signals.pass_on(number)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Begin to end the connections; Python calls this in the main thread."""
        loop = self._loop
        idle = not self._open or loop is None or loop.is_closed()
        # A second signal means: stop at once.
        at_once = self.begun or idle
        self.begun = True
        if at_once or loop is None:
            self._pass_on(number, frame)
        else:
            loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = asyncio.get_running_loop().create_task(self._drain(number))

    async def _drain(self, number: int) -> None:
        """End all connections, then pass the signal on to the server."""
        name = signal.Signals(number).name
        logger.info("%s: %s connections are ended before the server", name, len(self._open))
        ended = self._ended = asyncio.Event()
        try:
            for connection in self._open:
                connection.drain()
            await self._wait(ended, drain_timeout())
            if self._open:
                logger.warning(
                    "%s connections did not end within CHANNELS_DRAIN_TIMEOUT; their handlers are "
                    "cancelled",
                    len(self._open),
                )
                # Their clean-up, which each connection bounds itself, may take this long.
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


#: The one of this process.
draining: Final = Draining(open_connections)
call_in_children(draining.forget)
