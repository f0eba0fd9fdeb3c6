"""Hold signals back from an event loop that has handlers for them, until they are passed on.

Python does not call a handler that was given to `loop.add_signal_handler`. It writes the number of
the signal to the file descriptor of `signal.set_wakeup_fd`, and the loop reads the number there.
`LoopSignals` sets the descriptor of a pipe of its own, and reads the pipe in the same loop: it
drops the numbers that are held back, and writes the others to the loop's own descriptor. This works
for the loops of asyncio and of uvloop.
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
    """The pipe between the signals of this process and its event loop."""

    def __init__(self, is_held: Callable[[int], bool]) -> None:
        """Start without a pipe.

        Args:
            is_held: Returns whether a signal is held back until `pass_on`.
        """
        self._is_held = is_held
        self._loop: asyncio.AbstractEventLoop | None = None
        #: The ends of our pipe: for reading, and for Python to write to.
        self._ends: tuple[int, int] | None = None
        #: The descriptor of the loop; -1 for none.
        self._theirs = -1

    def take(self) -> None:
        """Come between the signals and the running loop, if the loop handles any.

        Called in the main thread, and again after the loop was given another handler.
        """
        loop = asyncio.get_running_loop()
        reader, writer = ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        try:
            loop.add_reader(reader, self._read, reader)
        except NotImplementedError:
            # On Windows, where loops do not handle signals at all.
            self._close(ends)
            return
        theirs = signal.set_wakeup_fd(writer)
        old, self._loop = self._open_loop(), loop
        if self._ends is not None:
            if theirs == self._ends[1]:
                # Our own descriptor, from an earlier call.
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
        """Return the loop unless it is closed: its descriptor may belong to something else then."""
        return None if self._loop is None or self._loop.is_closed() else self._loop

    def forget(self) -> None:
        """Leave everything to the process from which this one was forked."""
        if self._ends is not None:
            # Otherwise the parent's loop would get our signals. Its reader is not removed, since
            # the loops of both processes share the object that watches the descriptors.
            signal.set_wakeup_fd(-1)
            self._close(self._ends)
        self._loop, self._ends, self._theirs = None, None, -1

    def _close(self, ends: tuple[int, int]) -> None:
        for end in ends:
            os.close(end)

    def pass_on(self, number: int) -> None:
        """Pass a signal on to the loop."""
        if self._open_loop():
            with contextlib.suppress(OSError):
                os.write(self._theirs, bytes([number]))

    def _read(self, reader: int) -> None:
        for number in os.read(reader, _CHUNK):
            if not self._is_held(number):
                self.pass_on(number)
