"""Wake a receiver in its own event loop, from whatever thread or loop its message comes."""

import asyncio
from typing import final

from channels_layers_memory._layer.backlogs import Message

__all__ = ["Receiver", "running_loop"]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@final
class Receiver:
    """One call of `receive()` that waits in one event loop."""

    __slots__ = ("message", "woken")

    def __init__(self) -> None:
        """Belong to the event loop that runs."""
        #: To be awaited; says only that there is something to look at. Made without the detour
        #: over the loop's create_future(), which would be a tenth of what a message costs.
        self.woken: asyncio.Future[None] = asyncio.Future()
        self.message: Message | None = None

    def wake(self, here: object = None) -> bool:
        """Let the waiting call go on.

        Args:
            here: The event loop that runs in this thread, if that is known: to ask Python for it
                is a good part of the cost.

        Returns:
            Whether it can: not if it was cancelled or its event loop is closed.
        """
        if self.woken.done():
            return False
        loop = self.woken.get_loop()
        if (here or running_loop()) is loop:
            self.woken.set_result(None)
            return True
        try:
            loop.call_soon_threadsafe(self._wake_here)
        except RuntimeError:  # The loop is closed.
            return False
        return True

    def _wake_here(self) -> None:
        # It may have been cancelled since; it then gives its message back by itself.
        if not self.woken.done():
            self.woken.set_result(None)
