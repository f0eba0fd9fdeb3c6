"""Hold signals back from an event loop that calls handlers for them, until it is to know.

Python does not call what `loop.add_signal_handler` was given. It writes the number of a signal into
the file descriptor that `signal.set_wakeup_fd` has set, and the loop reads it there. So that
descriptor becomes one of ours, which is read in the same loop: numbers that are held back end here,
and the others go on to the loop's own descriptor. That holds for asyncio's loops and for uvloop's.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

__all__ = ["LoopSignals"]

_CHUNK: Final = 4096


class LoopSignals:
    """The way by which a loop of this process learns of signals."""

    def __init__(self, is_held: Callable[[int], bool]) -> None:
        """Do nothing yet.

        Args:
            is_held: Tells of a signal whether the loop is not to know of it before `pass_on`.
        """
        self._is_held = is_held
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Of a pipe: where we read, and where Python writes.
        self._ends: tuple[int, int] | None = None
        self._theirs = -1

    def take(self) -> None:
        """Come between the signals and the running loop, if it is told of any.

        To be called in the main thread, and again where the loop was given a handler since.
        """
        loop = asyncio.get_running_loop()
        reader, writer = ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        try:
            loop.add_reader(reader, self._read, reader)
        except NotImplementedError:
            # On Windows, where loops do not call handlers for signals either.
            self._close(ends)
            return
        theirs = signal.set_wakeup_fd(writer)
        old, self._loop = self._open_loop(), loop
        if self._ends is not None:
            if theirs == self._ends[1]:
                # It is ours, of an earlier call.
                theirs = self._theirs if old else -1
            if old:
                old.remove_reader(self._ends[0])
            self._close(self._ends)
        self._ends, self._theirs = ends, theirs
        if theirs == -1:
            # This loop calls no handlers.
            loop.remove_reader(reader)
            self.forget()

    def _open_loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop, unless it is closed: its descriptor may be of something else then."""
        return None if self._loop is None or self._loop.is_closed() else self._loop

    def forget(self) -> None:
        """Leave all of it to the process from which this one was forked."""
        if self._ends is not None:
            # The parent's loop would be told of our signals. Its reader is not removed: loops of
            # both processes share what they watch descriptors with.
            signal.set_wakeup_fd(-1)
            self._close(self._ends)
        self._loop, self._ends, self._theirs = None, None, -1

    def _close(self, ends: tuple[int, int]) -> None:
        for end in ends:
            os.close(end)

    def pass_on(self, number: int) -> None:
        """Let the loop know of a signal."""
        if self._open_loop():
            with contextlib.suppress(OSError):
                os.write(self._theirs, bytes([number]))

    def _read(self, reader: int) -> None:
        for number in os.read(reader, _CHUNK):
            if not self._is_held(number):
                self.pass_on(number)
