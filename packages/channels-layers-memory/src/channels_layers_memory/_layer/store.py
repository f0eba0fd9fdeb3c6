"""Bring messages, receivers and groups together, under one lock."""

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, TypeAlias, TypeVar

from channels_core.forks import start_anew_in_children
from channels_layers_memory._layer.backlogs import Backlog, Backlogs, Message
from channels_layers_memory._layer.clocks import UNMOVED, movable
from channels_layers_memory._layer.codec import Payload
from channels_layers_memory._layer.crowds import Crowds, Limits
from channels_layers_memory._layer.groups import Groups
from channels_layers_memory._layer.listener import Listener, ListenerRef

__all__ = ["OVERDUE", "Receivers", "Store", "Waiter"]

#: Seconds that an expired message may stay where there is nothing but `put`.
OVERDUE: Final = 10.0


class Waiter(Protocol):
    """A receiver that waits for a message."""

    message: Message | None

    def wake(self, here: object = None) -> bool:
        """Let it take `message`; False if it can no longer be reached.

        Args:
            here: Where the caller is, as far as that matters and is known.
        """


W = TypeVar("W", bound=Waiter)

#: In the order in which they came; an ordered dict, since any of them may leave at any time.
Receivers: TypeAlias = OrderedDict[Waiter, None]


class Store(Crowds):
    """The channels and groups of one layer.

    `channels` has a name only while messages wait in it (its backlog) or receivers do: never
    both, since a message goes straight to a receiver that waits. A listener is kept apart: its
    messages wait in the backlog until it takes them. Every operation first drops
    what has expired, and costs the same whatever else there is. `put` alone leaves that to
    others while there is room: programs that look at the channels after a `send` find there what
    nobody has received.

    Memberships have a clock of their own, since a test that moves the time to see messages expire
    does not mean to end the connections. Neither clock need be steady: where one turns back, what
    waits stays for longer.

    May be used from any thread: one lock is held for each operation, and nothing waits under it.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        group_clock: Callable[[], float] | None = None,
    ) -> None:
        """Start empty.

        Args:
            limits: Asked for the expiries and capacities.
            clock: Tells the time in seconds, for messages.
            group_clock: The same for memberships; `clock` if None.
        """
        self._limits = limits
        self._clock = clock
        self._group_clock = group_clock or clock
        # Where each message passes a clock is read by hand, at half the cost of calling ours.
        self._unmoved = UNMOVED.time if clock is movable else None
        self._base, self._monotonic = UNMOVED.base, UNMOVED.monotonic
        self._number = itertools.count().__next__
        self.start_anew()
        start_anew_in_children(self, type(self).start_anew)

    def start_anew(self) -> None:
        """Be empty, with a lock that nobody holds."""
        self.channels: dict[str, Backlog | Receivers] = {}
        self.groups = Groups()
        self._backlogs = Backlogs()
        self._lock = threading.Lock()
        # Where each message passes these are called by hand, at half the cost of `with`.
        self._acquire = self._lock.acquire
        self._release = self._lock.release
        # No message expires before this,
        self._due = inf
        # and no membership before this.
        self._groups_due = inf
        # A message with a lower number was sent before the last flush.
        self._flushed = self._number()
        self._thrown_away: deque[tuple[str, Waiter]] = deque()
        # The listener of each channel that has one.
        self._listeners: dict[str, ListenerRef] = {}
        # References to listeners that were thrown away; removed from `_listeners` now and then.
        self._dead_listeners: deque[ListenerRef] = deque()
        self._note_dead = self._dead_listeners.append
        # Listeners to wake as soon as the lock is released: their code is not ours.
        self._to_wake: deque[Listener] = deque()
        self.crowded = {}

    # Messages

    def put(self, name: str, payload: Payload) -> bool:
        """Hand a message to the channel's first receiver, or let it wait for one.

        Returns:
            False if the channel is full.
        """
        self._acquire()
        try:
            now = self._base + self._monotonic() if time.time is self._unmoved else self._clock()
            if now >= self._due + OVERDUE:
                self._sweep(now)
            accepted = self._put(name, now, payload)
            if not accepted and now >= self._due:
                # It may be full of what has expired.
                self._sweep(now)
                accepted = self._put(name, now, payload)
        finally:
            self._release()
        if self._to_wake:
            self._wake_listeners()
        return accepted

    def put_all(self, group: str, payload: Payload, here: object = None) -> int:
        """Put a message into all channels of a group, with no other operation in between.

        Args:
            group: The group.
            payload: The message.
            here: What to tell the receivers when they are woken.

        Returns:
            How many of them were full.
        """
        with self._lock:
            now = self._begin()
            names = tuple(self.groups.members.get(group, ()))
            full = sum([not self._put(name, now, payload, here) for name in names])
        if self._to_wake:
            self._wake_listeners(here)
        return full

    def take(self, name: str, wait: Callable[[], W]) -> Message | W:
        """Take the first message of a channel, or wait for it.

        Args:
            name: The channel.
            wait: Makes the receiver that waits, if there is no message.
        """
        self._acquire()
        try:
            now = self._base + self._monotonic() if time.time is self._unmoved else self._clock()
            if now >= self._due:
                self._sweep(now)
            queue = self.channels.get(name)
            if type(queue) is Backlog:
                message = queue.popleft()
                if queue.share is not None:
                    queue.share.held -= 1
                if not queue:
                    del self.channels[name]
                return message
            waiter = wait()
            if queue is None:
                queue = self.channels[name] = OrderedDict()
            queue[waiter] = None
            return waiter
        finally:
            self._release()

    def give_up(self, name: str, waiter: Waiter) -> None:
        """End the wait of a receiver; a message that it was given already goes back."""
        with self._lock:
            self._give_up(name, waiter, self._begin())

    def give_up_later(self, name: str, waiter: Waiter) -> None:
        """End the wait of a receiver that is being thrown away.

        Garbage is collected at any time, also in the middle of another operation of this
        thread, under the lock. It is then left to the next operation.
        """
        self._thrown_away.append((name, waiter))
        self._due = -inf
        if self._lock.acquire(blocking=False):
            try:
                self._begin()
            finally:
                self._lock.release()

    # Listeners

    def listen(self, name: str, listener: Listener) -> None:
        """Wake a listener for the messages of a channel; it replaces an earlier one.

        Args:
            name: The channel.
            listener: Kept for as long as the caller keeps it.
        """
        with self._lock:
            self._begin()
            while self._dead_listeners:
                dead = self._dead_listeners.popleft()
                if self._listeners.get(dead.channel) is dead:
                    del self._listeners[dead.channel]
            self._end_listening(name)
            reference = ListenerRef(listener, self._note_dead)
            reference.channel = name
            self._listeners[name] = reference
            if type(self.channels.get(name)) is Backlog:
                listener.wake_soon()
            else:
                listener.armed = True

    def take_now(self, name: str, listener: Listener) -> Message | None:
        """Take the first message of a channel, and arm its listener if that leaves none."""
        self._acquire()
        try:
            now = self._base + self._monotonic() if time.time is self._unmoved else self._clock()
            if now >= self._due:
                self._sweep(now)
            queue = self.channels.get(name)
            if type(queue) is not Backlog:
                listener.armed = True
                return None
            message = queue.popleft()
            if queue.share is not None:
                queue.share.held -= 1
            if not queue:
                del self.channels[name]
                listener.armed = True
            return message
        finally:
            self._release()

    def listeners(self) -> dict[str, Listener]:
        """Return the listeners by channel."""
        with self._lock:
            pairs = [(name, reference()) for name, reference in self._listeners.items()]
        return {name: listener for name, listener in pairs if listener is not None}

    def _end_listening(self, name: str) -> None:
        reference = self._listeners.pop(name, None)
        if reference is not None and (listener := reference()) is not None:
            listener.end()

    def _wake_listeners(self, here: object = None) -> None:
        """Wake the listeners that an operation has found, which has released the lock."""
        while self._to_wake:
            try:
                listener = self._to_wake.popleft()
            except IndexError:  # pragma: no cover - another thread has woken the last one
                return
            listener.wake(here)

    # Groups

    def join(self, group: str, channel: str) -> None:
        """Add a channel to a group, or renew its membership."""
        with self._lock:
            now = self._begin()
            joined = now if time.time is self._unmoved else self._group_clock()
            self._join(group, channel, joined)

    def replace_groups(self, members: dict[str, dict[str, float]]) -> None:
        """Take groups as a program gives them, with the times at which their channels joined."""
        with self._lock:
            self._begin()
            self.groups = Groups()
            for joined, group, channel in sorted(
                (joined, group, channel)
                for group, channels in members.items()
                for channel, joined in channels.items()
            ):
                self._join(group, channel, joined)

    def forget_memberships(self, channel: str) -> None:
        """End all memberships of a channel."""
        with self._lock:
            self._begin()
            self.groups.forget(channel)

    def sweep(self) -> None:
        """Drop what has expired."""
        with self._lock:
            self._begin()

    def leave(self, group: str, channel: str) -> None:
        """Take a channel out of a group, if it is in it."""
        with self._lock:
            self._begin()
            self.groups.discard(group, channel)

    def members(self, group: str) -> list[str]:
        """Return the channels of a group, in the order in which they joined."""
        with self._lock:
            self._begin()
            return list(self.groups.members.get(group, ()))

    # Both

    def remove(self, name: str) -> None:
        """Drop a channel with the messages or the receivers that wait in it, if any do."""
        with self._lock:
            self.channels.pop(name, None)
            self._end_listening(name)
            self._backlogs.drop(name)
            self.crowded.pop(name, None)

    def forget(self, name: str) -> None:
        """Drop the messages that wait in a channel, its listener and its memberships."""
        with self._lock:
            self._begin()
            self._end_listening(name)
            if type(self.channels.get(name)) is Backlog:
                del self.channels[name]
            self._backlogs.drop(name)
            self.crowded.pop(name, None)
            self.groups.forget(name)

    def flush(self) -> None:
        """Drop all messages and groups; receivers go on waiting."""
        with self._lock:
            for name, queue in list(self.channels.items()):
                if type(queue) is Backlog:
                    del self.channels[name]
            self._backlogs.clear()
            self.crowded.clear()
            self.groups.clear()
            self._flushed = self._number()

    # Under the lock

    def _begin(self) -> float:
        """Drop what has expired, and return the time."""
        unmoved = time.time is self._unmoved
        now = self._base + self._monotonic() if unmoved else self._clock()
        if now >= self._due:
            self._sweep(now)
        joined = now if unmoved else self._group_clock()
        if joined >= self._groups_due:
            group_expiry = self._limits.group_expiry
            self.groups.sweep(joined - group_expiry)
            self._groups_due = self.groups.oldest + group_expiry
        return now

    def _sweep(self, now: float) -> None:
        for name, backlog in self._backlogs.expire(now):
            if not backlog:
                del self.channels[name]
            # Nobody reads a channel that lets a message expire.
            self.groups.forget(name)
        self._due = self._backlogs.due
        if self.crowded:
            kept = self._backlogs.kept
            self.crowded = {name: first for name, first in self.crowded.items() if name in kept}
        # Last: whoever is thrown away from here on sets `_due` again.
        while self._thrown_away:
            self._give_up(*self._thrown_away.popleft(), now)

    def _join(self, group: str, channel: str, now: float) -> None:
        self.groups.add(group, channel, now)
        self._groups_due = min(self._groups_due, now + self._limits.group_expiry)

    def _put(self, name: str, now: float, payload: Payload, here: object = None) -> bool:
        message = (now + self._limits.expiry, self._number(), payload)
        queue = self.channels.get(name)
        if type(queue) is OrderedDict and self._hand_over(name, queue, message, here):
            return True
        backlog = self._backlogs.kept.get(name)
        if backlog is None:
            backlog = self._backlogs.new(name)
        share = backlog.share
        held = len(backlog) if share is None else share.held
        capacity = self._limits.get_capacity(name)
        if held >= capacity:
            return False
        if share is not None:
            share.held = held + 1
        if not backlog:
            self.channels[name] = backlog
        backlog.append(message)
        if message[0] < backlog.look:
            self._plan(name, backlog, message[0])
        if held + held + 2 > capacity:
            self.crowded.setdefault(name, None)
        reference = self._listeners.get(name)
        if reference is not None and (listener := reference()) is not None and listener.armed:
            listener.armed = False
            self._to_wake.append(listener)
        return True

    def _put_back(self, name: str, message: Message) -> None:
        """Let a message wait again, in its old place: there was room for it once."""
        backlog = self._backlogs.kept.get(name)
        if backlog is None:
            backlog = self._backlogs.new(name)
        if backlog.share is not None:
            backlog.share.held += 1
        if not backlog:
            self.channels[name] = backlog
        # Only others that were put back can be before it.
        place = 0
        while place < len(backlog) and backlog[place][1] < message[1]:
            place += 1
        backlog.insert(place, message)
        if message[0] < backlog.look:
            self._plan(name, backlog, message[0])
        reference = self._listeners.get(name)
        if reference is not None and (listener := reference()) is not None and listener.armed:
            listener.armed = False
            listener.wake_soon()

    def _plan(self, name: str, backlog: Backlog, time: float) -> None:
        self._backlogs.plan(name, backlog, time)
        self._due = min(self._due, time)

    def _hand_over(
        self, name: str, receivers: Receivers, message: Message, here: object = None
    ) -> bool:
        """Give a message to the receiver that has waited longest.

        Returns:
            False if none of them lives; the channel is then no longer there.
        """
        taken = False
        while receivers and not taken:
            waiter, _ = receivers.popitem(last=False)
            waiter.message = message
            taken = waiter.wake(here)
            if not taken:
                waiter.message = None
        if not receivers:
            del self.channels[name]
        return taken

    def _give_up(self, name: str, waiter: Waiter, now: float) -> None:
        message, waiter.message = waiter.message, None
        queue = self.channels.get(name)
        receivers = queue if type(queue) is OrderedDict else None
        if message is None:
            if receivers is not None and waiter in receivers:
                del receivers[waiter]
                if not receivers:
                    del self.channels[name]
        elif message[1] < self._flushed:
            return
        elif message[0] <= now:
            self.groups.forget(name)
        elif receivers is None or not self._hand_over(name, receivers, message):
            self._put_back(name, message)
