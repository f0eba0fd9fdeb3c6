"""The slots of a worker: how many messages it handles at the same time.

A reader reserves a slot before it takes a message from the layer, so the worker never holds a
message that it cannot handle at once. A slot holds one instance: one call of the application,
which is handed one message after the other. The states of a slot:

    RESERVED    waits for a message; holds an idle instance, or none yet
    BUSY        its instance handles a message, or is about to take one
    IDLE        its instance has asked for its next message, and there is none
    ENDING      its instance was cancelled, and has not ended yet

`reserve` uses an idle instance of the channel if there is one, else a new slot. If all slots of
the worker are in use, it ends the instance that has been idle for the longest time.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from channels_core.typing import ChannelMessage

if TYPE_CHECKING:
    from channels_core._worker.acknowledgements import Job

__all__ = ["Instance", "Slot", "Slots"]

Run: TypeAlias = "Callable[[Instance], Coroutine[Any, Any, None]]"


class Instance:
    """One call of an application, which is handed one message after the other.

    Attributes:
        channel: The channel whose messages it gets.
        is_fresh: Whether it has not taken a message yet.
        is_ended: Whether the worker has told it to end.
    """

    def __init__(
        self,
        channel: str,
        message: ChannelMessage,
        on_idle: Callable[[], None],
        job: Job | None = None,
    ) -> None:
        self.channel = channel
        self.is_fresh = True
        self.is_ended = False
        self._on_idle = on_idle
        # The message that the application has not asked for yet, and the one it handles.
        self._next: ChannelMessage | None = message
        self._current: ChannelMessage | None = None
        # What settles them; None if nothing has to.
        self._next_job = job
        self._current_job: Job | None = None
        self._given = asyncio.Event()

    @property
    def message(self) -> ChannelMessage | None:
        """The message that it has to take, or else handles; None if it is idle."""
        return self._next if self._next is not None else self._current

    @property
    def untaken(self) -> ChannelMessage | None:
        """The message that the application has not asked for yet."""
        return self._next

    @property
    def job(self) -> Job | None:
        """What settles the message that it handles, or its first one if it has not asked for it.

        None if nothing has to. A later message that it has not asked for gets another instance.
        """
        return self._next_job if self.is_fresh else self._current_job

    @property
    def untaken_job(self) -> Job | None:
        """What settles `untaken`; None if nothing has to."""
        return self._next_job

    def give(self, message: ChannelMessage, job: Job | None = None) -> None:
        """Hand over a message, which the application takes when it asks for one."""
        self._next, self._next_job = message, job
        self._given.set()

    def give_back(self) -> None:
        """Let another worker have the messages that were not handled."""
        for job in (self._current_job, self._next_job):
            if job is not None:
                job.give_back()

    async def receive(self) -> ChannelMessage:
        """Wait for the next message; the application's `receive`.

        A call that is cancelled takes no message.
        """
        if self._next is None:
            if self._current_job is not None:
                self._current_job.handled()
            self._current = self._current_job = None
            self._on_idle()
        while self._next is None:
            self._given.clear()
            await self._given.wait()
        message, self._next = self._next, None
        self._current = message
        self._current_job, self._next_job = self._next_job, None
        self.is_fresh = False
        return message


class _State(Enum):
    """The states of a slot; see the module's text."""

    RESERVED = auto()
    BUSY = auto()
    IDLE = auto()
    ENDING = auto()


class Slot:
    """Room for an instance, and so for one message at a time."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.state = _State.RESERVED
        self.instance: Instance | None = None
        self.task: asyncio.Task[None] | None = None
        # The number of the moment at which it became idle; a lower one is longer ago.
        self.idle_since = 0


class Slots:
    """All slots of a worker, within its bounds."""

    def __init__(self, run: Run, concurrency: int, limit: int) -> None:
        """Start without an instance.

        Args:
            run: Calls the application for an instance, and raises nothing.
            concurrency: The number of slots that a channel has at most.
            limit: The number of slots over all channels, idle ones included.
        """
        self._run = run
        self._concurrency = concurrency
        self._limit = limit
        # The slots in use, by channel.
        self._counts: Counter[str] = Counter()
        # By channel, the slot that was idle first at the front.
        self._idle: defaultdict[str, list[Slot]] = defaultdict(list)
        self._running: dict[asyncio.Task[None], Slot] = {}
        self._is_closed = False
        # Set whenever `reserve` may find a slot that it did not find before.
        self._changed = asyncio.Event()
        self._moments = count()

    async def reserve(self, channel: str) -> Slot | None:
        """Wait for a slot in which a message of a channel can be handled at once, and keep it.

        Returns:
            The slot, for `give` or `release`; None once `close` was called.
        """
        while not self._is_closed:
            if slot := self._find(channel):
                return slot
            self._changed.clear()
            await self._changed.wait()
        return None

    def _find(self, channel: str) -> Slot | None:
        if idle := self._idle[channel]:
            # The one that was used last, so that the others can be ended for other channels.
            slot = idle.pop()
            slot.state = _State.RESERVED
            return slot
        if self._counts[channel] >= self._concurrency:
            return None
        if self._counts.total() >= self._limit:
            self._make_room()
            return None
        self._counts[channel] += 1
        return Slot(channel)

    def _make_room(self) -> None:
        """End the instance that has been idle for the longest time, unless one is ending."""
        if any(slot.state is _State.ENDING for slot in self._running.values()):
            return
        oldest = [slots[0] for slots in self._idle.values() if slots]
        if oldest:
            slot = min(oldest, key=lambda slot: slot.idle_since)
            self._idle[slot.channel].remove(slot)
            self._end(slot)

    def give(self, slot: Slot, message: ChannelMessage, job: Job | None = None) -> None:
        """Have a message handled in a reserved slot, by an idle instance if there is one.

        Args:
            slot: The slot.
            message: The message.
            job: What settles it; None if nothing has to.
        """
        if slot.instance is None and (idle := self._idle[slot.channel]):
            # It became idle after the slot was reserved.
            self._free(slot)
            slot = idle.pop()
        slot.state = _State.BUSY
        if slot.instance is not None and slot.task is not None and not slot.task.done():
            slot.instance.give(message, job)
        else:
            self._start(slot, message, job)

    def release(self, slot: Slot) -> None:
        """Give a reserved slot back without a message."""
        slot.state = _State.BUSY
        if slot.instance is None:
            self._free(slot)
        else:
            self._rest(slot)

    def _start(self, slot: Slot, message: ChannelMessage, job: Job | None) -> None:
        instance = Instance(slot.channel, message, lambda: self._rest(slot), job)
        task = asyncio.get_running_loop().create_task(self._run(instance))
        slot.instance, slot.task = instance, task
        self._running[task] = slot
        task.add_done_callback(self._finished)

    def _rest(self, slot: Slot) -> None:
        """Record that an instance waits for its next message."""
        if slot.state is not _State.BUSY:
            return  # it asks once more for the same one
        if self._is_closed:
            self._end(slot)
            return
        slot.state = _State.IDLE
        slot.idle_since = next(self._moments)
        self._idle[slot.channel].append(slot)
        self._changed.set()

    def _end(self, slot: Slot) -> None:
        assert slot.instance is not None  # it runs
        assert slot.task is not None
        slot.state = _State.ENDING
        slot.instance.is_ended = True
        slot.task.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        slot = self._running.pop(task)
        if not task.cancelled():
            task.exception()  # read: the event loop has raised it already, as a KeyboardInterrupt
        if slot.task is not task:
            return
        instance, slot.instance, slot.task = slot.instance, None, None
        assert instance is not None
        if slot.state is _State.RESERVED:
            return
        if slot.state is _State.IDLE:
            self._idle[slot.channel].remove(slot)
        elif slot.state is _State.BUSY and instance.untaken is not None and not instance.is_fresh:
            # It ended by itself before it could see the message.
            self._start(slot, instance.untaken, instance.untaken_job)
            return
        # What is not settled by now: the worker has ended the instance, perhaps before it began.
        instance.give_back()
        self._free(slot)

    def _free(self, slot: Slot) -> None:
        self._counts[slot.channel] -= 1
        self._changed.set()

    # The end

    def close(self) -> None:
        """End the idle instances, and each other one as soon as it is idle."""
        self._is_closed = True
        for slots in self._idle.values():
            while slots:
                self._end(slots.pop())
        self._changed.set()

    async def wait(self, timeout: float) -> None:
        """Wait until all instances have ended, but no longer than some seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        # An instance that ends without having taken its message is followed by a new one.
        while self._running and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._running, timeout=left)

    def cut(self) -> Counter[str]:
        """Cancel the instances that handle a message, and count them by channel."""
        busy = [slot for slot in self._running.values() if slot.state is _State.BUSY]
        for slot in busy:
            self._end(slot)
        return Counter(slot.channel for slot in busy)

    @property
    def left(self) -> Counter[str]:
        """The number of instances that have not ended, by channel."""
        return Counter(slot.channel for slot in self._running.values())
