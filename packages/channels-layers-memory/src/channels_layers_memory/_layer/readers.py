"""Wake the readers of a channel, each in its own event loop, for messages from any thread.

A channel is read in one of two ways:

- A `Receiver` is one call of `receive()`, and waits in a future. A message is handed to it, and
  the future is set.
- A `Listener` is one call of `listen()`, and has no task that waits. Messages stay in the channel
  until the listener takes them. It is armed while no message waits. The first message that arrives
  disarms it and calls its `wake`; the listener then takes messages until none is left, which arms
  it again. So a burst of messages costs one wake, and looking at an empty channel takes no lock.
  If its program can tell that it waits at this moment, as a connection can, a message of its own
  event loop is given to it at once, which saves a third of the cost: the way through the channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final
from weakref import ref

from channels_layers_memory._layer.backlogs import Message

__all__ = ["Listener", "ListenerRef", "Receiver", "running_loop"]


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
        #: Set when `message` is there. Made directly, since the loop's create_future() would add
        #: a tenth to the cost of a message.
        self.woken: asyncio.Future[None] = asyncio.Future()
        #: The message that was handed over; None until then.
        self.message: Message | None = None

    def wake(self, current_loop: object = None) -> bool:
        """Let the waiting call go on.

        Args:
            current_loop: The event loop that runs in this thread, if the caller knows it: asking
                Python for it is a good part of the cost.

        Returns:
            False if the call was cancelled or its event loop is closed.
        """
        if self.woken.done():
            return False
        loop = self.woken.get_loop()
        if (current_loop or running_loop()) is loop:
            self.woken.set_result(None)
            return True
        try:
            loop.call_soon_threadsafe(self._set_woken)
        except RuntimeError:  # The loop is closed.
            return False
        return True

    def _set_woken(self) -> None:
        # If the call was cancelled in the meantime, it gives its message back by itself.
        if not self.woken.done():
            self.woken.set_result(None)


if TYPE_CHECKING:
    from typing import Protocol

    class TakeMessage(Protocol):
        """Takes the first message of a channel; see `Store.take_for_listener`."""

        def __call__(self, name: str, listener: Listener, /) -> Message | None:
            """Return the message, or None if none waits."""


@final
class Listener:
    """One call of `listen()`, in the event loop in which it was made."""

    __slots__ = (
        "__weakref__",
        "_channel",
        "_loop",
        "_take",
        "_wake",
        "_wake_waiting",
        "armed",
        "given",
    )

    def __init__(
        self,
        channel: str,
        take: TakeMessage,
        wake: Callable[[], object],
        wake_waiting: Callable[[], bool] | None = None,
    ) -> None:
        """Belong to the event loop that runs.

        Args:
            channel: The name of the channel.
            take: Takes its first message.
            wake: Tells the program that a message has arrived.
            wake_waiting: The same if the program waits for a message at this moment; otherwise it
                does nothing, and returns False. None if the program cannot tell.
        """
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._take = take
        # None once listening has ended.
        self._wake: Callable[[], object] | None = wake
        self._wake_waiting: Callable[[], bool] | None = wake_waiting
        #: The message that was given and not taken yet. It is not in the channel.
        self.given: Message | None = None
        #: True while no message waits, so that the next one has to wake. The store sets it, under
        #: its lock.
        self.armed = False

    def take(self) -> dict[str, Any] | None:
        """Return the next message, or None if none waits now."""
        message = self.given
        if message is not None:
            self.given = None
        elif self.armed or (message := self._take(self._channel, self)) is None:
            return None
        payload = message[2]
        return payload() if callable(payload) else payload

    def give(self, message: Message, current_loop: object = None) -> bool:
        """Give a message to a program that waits in this thread's event loop, and wake it.

        The store calls it under its lock, if no message waits in the channel. The program does no
        more than set a future, as for a receiver.

        Args:
            message: The message.
            current_loop: The event loop that runs in this thread, if the caller knows it.

        Returns:
            False if the program does not wait, or in another event loop, or if it was given one
            that it has not taken yet.
        """
        wakes = self._wake_waiting
        # One at a time: a program may say that it waits until it has taken the first one.
        if wakes is None or self.given is not None:
            return False
        if (current_loop or running_loop()) is not self._loop or not wakes():
            return False
        self.given = message
        return True

    def end(self) -> Message | None:
        """Never wake again, and return the message that was given and not taken."""
        self._wake = self._wake_waiting = None
        given, self.given = self.given, None
        return given

    def wake(self, current_loop: object = None) -> None:
        """Wake at once if this is the listener's event loop, or else soon in that loop.

        Args:
            current_loop: The event loop that runs in this thread, if the caller knows it.
        """
        if (current_loop or running_loop()) is not self._loop:
            self.wake_soon()
        elif (wake := self._wake) is not None:
            wake()

    def wake_soon(self) -> None:
        """Wake from the listener's event loop, never within this call."""
        try:
            self._loop.call_soon_threadsafe(self._call_wake)
        except RuntimeError:  # The loop is closed: there is no reader any more.
            self.end()

    def _call_wake(self) -> None:
        if self._wake is not None:
            self._wake()


class ListenerRef(ref[Listener]):
    """A weak reference to a listener, with the name of its channel.

    The store does not keep a listener alive. When a program drops the function that `listen()`
    returned, or its event loop is thrown away, the listener goes with it.
    """

    __slots__ = ("channel",)

    channel: str
