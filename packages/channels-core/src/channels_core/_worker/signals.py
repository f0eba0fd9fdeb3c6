"""Stop a process by SIGTERM or SIGINT: the first one gracefully, the second one at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Final, Self

from channels_core.forks import start_anew_in_children

__all__ = ["StopSignals"]

logger = logging.getLogger("django.channels.worker")

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """A context in which SIGTERM and SIGINT call a function, and a second one ends the process.

    Outside the main thread it does nothing: Python handles signals in that thread only.
    """

    def __init__(self, end: Callable[[int], object] = os._exit) -> None:
        """Take how to end the process; the context manager handles the signals.

        Args:
            end: Ends the process at once, with an exit status.
        """
        self._end = end
        self._is_received = False
        self._stop: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}
        # The first item: a signal has come, or the context is left. The second: it is left. A
        # signal handler may use this kind of queue, whatever it interrupts.
        self._news: SimpleQueue[None] = SimpleQueue()
        start_anew_in_children(self, StopSignals._give_back)

    def then(self, stop: Callable[[], object], within: float) -> None:
        """Set the function that the first signal calls; call it now if that signal has come.

        Args:
            stop: Called in the main thread, at any moment. It asks for the end and returns.
            within: Seconds from the signal until the context has to be left. After that the
                process is ended, since Python would wait for threads that never return.
        """
        if self._before:
            guard = threading.Thread(target=self._guard, args=[within], daemon=True)
            guard.start()
        self._stop = stop
        if self._is_received:
            stop()

    def _guard(self, within: float) -> None:
        self._news.get()
        try:
            self._news.get(timeout=within)
        except Empty:
            logger.error("The process does not end within %s seconds and is ended", within)
            self._end(0)

    def __enter__(self) -> Self:
        """Handle the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the handlers of before."""
        self._give_back()
        self._news.put(None)
        self._news.put(None)

    def _give_back(self) -> None:
        # In a forked process as well: its parent ends it by a signal.
        while self._before:
            signal.signal(*self._before.popitem())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_received:
            # The status that a shell reports for a process ended by a signal.
            self._end(128 + number)
            return
        self._is_received = True
        self._news.put(None)
        if self._stop is not None:
            self._stop()
