"""Wake a receiver in its own event loop, from whatever thread or loop its message comes."""

import asyncio
from typing import Final, final

from channels_layers_memory._backlogs import Message

__all__ = ["Receiver"]


@final
class Receiver:
    """One call of `receive()` that waits in one event loop."""

    __slots__ = ("_loop", "message", "woken")

    def __init__(self) -> None:
        """Belong to the event loop that runs."""
        self._loop: Final = asyncio.get_running_loop()
        #: To be awaited; says only that there is something to look at.
        self.woken: Final[asyncio.Future[None]] = self._loop.create_future()
        self.message: Message | None = None

    def wake(self) -> bool:
        """Let the waiting call go on.

        Returns:
            Whether it can: not if it was cancelled or its event loop is closed.
        """
        if self.woken.done():
            return False
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # Called where no event loop runs.
            here = False
        if here:
            self.woken.set_result(None)
            return True
        try:
            self._loop.call_soon_threadsafe(self._wake_here)
        except RuntimeError:  # The loop is closed.
            return False
        return True

    def _wake_here(self) -> None:
        # It may have been cancelled since; it then gives its message back by itself.
        if not self.woken.done():
            self.woken.set_result(None)
