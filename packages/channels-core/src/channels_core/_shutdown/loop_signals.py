"""Hold signals back from an event loop that has handlers for them, until they are passed on.

Python does not call a handler that was given to `loop.add_signal_handler`. It writes the number of
the signal to the file descriptor of `signal.set_wakeup_fd`, and the loop reads the number there.
`LoopSignals` sets the descriptor of a pipe of its own, and reads the pipe in the same loop: it
drops the numbers that are held back, and writes the others to the loop's own descriptor. This works
for the loops of asyncio and of uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

__all__ = ["LoopSignals"]

_CHUNK: Final = 4096


class LoopSignals:
    """The pipe between the signals of this process and its event loop."""

    def __init__(self, is_held: Callable[[int], bool]) -> None:
        """Start without a pipe.

        Args:
            is_held: Returns whether a signal is held back until `pass_on`.
        """
        self._is_held = is_held
        # The event loop whose signals are held back; None without one.
        self._loop: asyncio.AbstractEventLoop | None = None
        # The ends of our pipe: the one that we read, and the one that Python writes to.
        self._ends: tuple[int, int] | None = None
        # The descriptor that the loop reads signals from; -1 without one.
        self._theirs = -1

    def take(self) -> None:
        """Have the signals of the running loop written to our pipe, if the loop handles any.

        Call it in the main thread, and again after a handler was added to the loop.
        """
        loop = asyncio.get_running_loop()
        reader, writer = ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        try:
            loop.add_reader(reader, self._read, reader)
        except NotImplementedError:
            # The default loop of Windows, which does not handle signals.
            self._close(ends)
            return
        theirs = signal.set_wakeup_fd(writer)
        old, self._loop = self._open_loop(), loop
        if self._ends is not None:
            if theirs == self._ends[1]:
                # Python wrote to our pipe of an earlier call.
                theirs = self._theirs if old else -1
            if old:
                old.remove_reader(self._ends[0])
            self._close(self._ends)
        self._ends, self._theirs = ends, theirs
        if theirs == -1:
            # This loop does not handle signals.
            loop.remove_reader(reader)
            self.forget()

    def _open_loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop; None if it is closed, since its descriptor may be in use elsewhere."""
        return None if self._loop is None or self._loop.is_closed() else self._loop

    def forget(self) -> None:
        """Close the pipe, in a process that was forked from one that serves."""
        if self._ends is not None:
            # Otherwise the parent's loop would get this process's signals. The reader is not
            # removed from the loop: parent and child share the object that watches descriptors.
            signal.set_wakeup_fd(-1)
            self._close(self._ends)
        self._loop, self._ends, self._theirs = None, None, -1

    def _close(self, ends: tuple[int, int]) -> None:
        for end in ends:
            os.close(end)

    def pass_on(self, number: int) -> None:
        """Give a signal to the loop, which then calls its handler."""
        if self._open_loop():
            with contextlib.suppress(OSError):
                os.write(self._theirs, bytes([number]))

    def _read(self, reader: int) -> None:
        for number in os.read(reader, _CHUNK):
            if not self._is_held(number):
                self.pass_on(number)
