"""The application instances of a worker: made when needed, kept while they serve."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from itertools import count
from typing import Any, TypeAlias

from channels_core.typing import ChannelMessage

__all__ = ["Instance", "Instances", "Seat"]

Run: TypeAlias = "Callable[[Instance], Coroutine[Any, Any, None]]"


class Instance:
    """One call of an application, which is handed one message after the other.

    Attributes:
        channel: The channel whose messages it gets.
        is_fresh: Whether it has not taken a message yet.
        is_ended: Whether the worker has told it to end.
    """

    def __init__(self, channel: str, message: ChannelMessage, on_idle: Callable[[], None]) -> None:
        self.channel = channel
        self.is_fresh = True
        self.is_ended = False
        self._on_idle = on_idle
        self._next: ChannelMessage | None = message
        self._current: ChannelMessage | None = None
        self._given = asyncio.Event()

    @property
    def message(self) -> ChannelMessage | None:
        """The message that it works on or that waits for it; None if it is idle."""
        return self._next if self._next is not None else self._current

    @property
    def untaken(self) -> ChannelMessage | None:
        """The message that waits for it, if it has not asked for that one."""
        return self._next

    def give(self, message: ChannelMessage) -> None:
        """Let it have a message when it asks, or at once if it has asked already."""
        self._next = message
        self._given.set()

    async def receive(self) -> ChannelMessage:
        """Wait for the next message; the application's `receive`.

        A call that is cancelled takes none.
        """
        if self._next is None:
            self._current = None
            self._on_idle()
        while self._next is None:
            self._given.clear()
            await self._given.wait()
        message, self._next = self._next, None
        self._current = message
        self.is_fresh = False
        return message


class _State(Enum):
    RESERVED = auto()
    BUSY = auto()
    IDLE = auto()
    ENDING = auto()


class Seat:
    """What a message needs before it may be taken from the layer: room for an instance."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.state = _State.RESERVED
        self.instance: Instance | None = None
        self.task: asyncio.Task[None] | None = None
        # When it became idle, in the order of all of them.
        self.idle_since = 0


class Instances:
    """All instances of a worker, within its bounds."""

    def __init__(self, run: Run, concurrency: int, limit: int) -> None:
        """Start with none.

        Args:
            run: Calls the application for an instance, and raises nothing.
            concurrency: How many instances a channel has at most.
            limit: How many there are at most over all channels, idle ones included.
        """
        self._run = run
        self._concurrency = concurrency
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self._idle: defaultdict[str, list[Seat]] = defaultdict(list)
        self._running: dict[asyncio.Task[None], Seat] = {}
        self._is_closed = False
        self._changed = asyncio.Event()
        self._moments = count()

    async def reserve(self, channel: str) -> Seat | None:
        """Wait until a message of a channel could be handled at once, and keep that so.

        An idle instance is used if the channel has one, else there will be a new one. Where
        `limit` leaves no room for it, the instance that is idle for the longest time is ended.

        Returns:
            What `give` or `release` takes; None once `close` was called.
        """
        while not self._is_closed:
            if seat := self._find(channel):
                return seat
            self._changed.clear()
            await self._changed.wait()
        return None

    def _find(self, channel: str) -> Seat | None:
        if idle := self._idle[channel]:
            # The one used last: it is warm.
            seat = idle.pop()
            seat.state = _State.RESERVED
            return seat
        if self._counts[channel] >= self._concurrency:
            return None
        if self._counts.total() >= self._limit:
            self._make_room()
            return None
        self._counts[channel] += 1
        return Seat(channel)

    def _make_room(self) -> None:
        if any(seat.state is _State.ENDING for seat in self._running.values()):
            return  # there will be
        oldest = [seats[0] for seats in self._idle.values() if seats]
        if oldest:
            seat = min(oldest, key=lambda seat: seat.idle_since)
            self._idle[seat.channel].remove(seat)
            self._end(seat)

    def give(self, seat: Seat, message: ChannelMessage) -> None:
        """Let a message be handled on a reserved seat, by an idle instance if there is one."""
        if seat.instance is None and (idle := self._idle[seat.channel]):
            # It became idle after the seat was reserved.
            self._free(seat)
            seat = idle.pop()
        seat.state = _State.BUSY
        if seat.instance is not None and seat.task is not None and not seat.task.done():
            seat.instance.give(message)
        else:
            self._start(seat, message)

    def release(self, seat: Seat) -> None:
        """Give a reserved seat back without a message."""
        seat.state = _State.BUSY
        if seat.instance is None:
            self._free(seat)
        else:
            self._rest(seat)

    def _start(self, seat: Seat, message: ChannelMessage) -> None:
        instance = Instance(seat.channel, message, on_idle=lambda: self._rest(seat))
        task = asyncio.get_running_loop().create_task(self._run(instance))
        seat.instance, seat.task = instance, task
        self._running[task] = seat
        task.add_done_callback(self._finished)

    def _rest(self, seat: Seat) -> None:
        """Take note that an instance waits for its next message."""
        if seat.state is not _State.BUSY:
            return  # it asks once more for the same one
        if self._is_closed:
            self._end(seat)
            return
        seat.state = _State.IDLE
        seat.idle_since = next(self._moments)
        self._idle[seat.channel].append(seat)
        self._changed.set()

    def _end(self, seat: Seat) -> None:
        assert seat.instance is not None  # one that runs
        assert seat.task is not None
        seat.state = _State.ENDING
        seat.instance.is_ended = True
        seat.task.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        seat = self._running.pop(task)
        if not task.cancelled():
            task.exception()  # of those that end a program; the event loop has raised it
        if seat.task is not task:
            return
        instance, seat.instance, seat.task = seat.instance, None, None
        assert instance is not None
        if seat.state is _State.RESERVED:
            return
        if seat.state is _State.IDLE:
            self._idle[seat.channel].remove(seat)
        elif seat.state is _State.BUSY and instance.untaken is not None and not instance.is_fresh:
            # It ended of its own accord before it could see the message.
            self._start(seat, instance.untaken)
            return
        self._free(seat)

    def _free(self, seat: Seat) -> None:
        self._counts[seat.channel] -= 1
        self._changed.set()

    # The end

    def close(self) -> None:
        """End the idle instances, and each other one as soon as it is idle."""
        self._is_closed = True
        for seats in self._idle.values():
            while seats:
                self._end(seats.pop())
        self._changed.set()

    async def wait(self, timeout: float) -> None:
        """Wait until all instances have ended, but no longer than some seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        # A message that an instance has not seen makes a new one.
        while self._running and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._running, timeout=left)

    def cut(self) -> Counter[str]:
        """Cancel the instances that are at work, and count them by channel."""
        busy = [seat for seat in self._running.values() if seat.state is _State.BUSY]
        for seat in busy:
            self._end(seat)
        return Counter(seat.channel for seat in busy)

    @property
    def left(self) -> Counter[str]:
        """The instances that have not ended, by channel."""
        return Counter(seat.channel for seat in self._running.values())
