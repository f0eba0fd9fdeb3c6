"""Tell a reader without a task that its channel has messages, in the reader's own event loop.

A listener is armed while nothing waits in its channel. The first message that arrives disarms it
and wakes the reader, who takes messages until none is left, which arms it again. So a burst of
messages costs one wake, and a look at an empty channel costs no lock.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, final
from weakref import ref

from channels_layers_memory._layer.backlogs import Message
from channels_layers_memory._layer.readers import running_loop

__all__ = ["Listener", "ListenerRef", "Take"]


class Take(Protocol):
    """Takes the first message of a channel; see `Store.take_now`."""

    def __call__(self, name: str, listener: "Listener", /) -> Message | None:
        """Return the message, or None if none waits."""


@final
class Listener:
    """One call of `listen()`, in the event loop in which it was made."""

    __slots__ = ("__weakref__", "_channel", "_loop", "_take", "_wake", "armed")

    def __init__(self, channel: str, take: Take, wake: Callable[[], object]) -> None:
        """Belong to the event loop that runs.

        Args:
            channel: The name of the channel.
            take: Takes its first message.
            wake: Tells the reader that a message has arrived.
        """
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._take = take
        #: None once listening has ended.
        self._wake: Callable[[], object] | None = wake
        #: Whether nothing waits, and the next message has to wake the reader. Set by the store,
        #: under its lock.
        self.armed = False

    def take(self) -> dict[str, Any] | None:
        """Return the next message, or None if none waits now."""
        if self.armed or (message := self._take(self._channel, self)) is None:
            return None
        payload = message[2]
        return payload() if callable(payload) else payload

    def end(self) -> None:
        """Never wake the reader again."""
        self._wake = None

    def wake(self, here: object = None) -> None:
        """Wake the reader: at once if this is its event loop, or else from within that loop.

        Args:
            here: The event loop that runs in this thread, if the caller knows it.
        """
        if (here or running_loop()) is self._loop:
            self._wake_here()
        else:
            self.wake_soon()

    def wake_soon(self) -> None:
        """Wake the reader from its event loop, never within this call."""
        try:
            self._loop.call_soon_threadsafe(self._wake_here)
        except RuntimeError:  # The loop is closed: nobody is left to read.
            self.end()

    def _wake_here(self) -> None:
        if self._wake is not None:
            self._wake()


class ListenerRef(ref[Listener]):
    """A weak reference to a listener that knows the name of its channel.

    The store does not keep a listener alive: a reader that is thrown away without a word, with
    its event loop for example, takes its listener along.
    """

    __slots__ = ("channel",)

    channel: str
