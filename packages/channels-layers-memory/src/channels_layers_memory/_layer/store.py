"""Hold messages, readers and groups under one lock.

The way of a message: `put` hands it to a receiver that waits, or gives it to a listener that waits
at that moment, and wakes it. If none does, the message goes to the channel's backlog, and the
channel's listener is woken if it is armed. `take` returns the first message of the backlog, or
registers a receiver that waits for the next one. A receiver that is cancelled after it was given a
message passes it to the next receiver, or puts it back in its old place.

Expiry needs no timer: every operation first drops what has expired. `put` alone leaves that to
other operations as long as there is room, because tests of programs look at the channels after a
`send`, and expect to find the messages that nobody has received.

What only some programs use (`history`, `members`, `queues`) attaches itself when it is first used.
Such an extension does its work under the same lock, within `operation`. What it has to do at a
time is done by a timer if an event loop runs, and otherwise by the next operation.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Final

from channels_core.forks import start_anew_in_children
from channels_layers_memory._layer.backlogs import Backlog, Backlogs, Message
from channels_layers_memory._layer.clocks import ORIGINAL, mockable_time
from channels_layers_memory._layer.codec import Payload
from channels_layers_memory._layer.groups import Groups
from channels_layers_memory._layer.readers import Listener, ListenerRef

__all__ = ["OVERDUE", "Store"]

#: Seconds that an expired message may stay while no operation but `put` is called.
OVERDUE: Final = 10.0


if TYPE_CHECKING:
    from typing import Protocol, TypeAlias, TypeVar

    class Limits(Protocol):
        """The limits of a store. They are read at each use, so a program may change them."""

        @property
        def expiry(self) -> float:
            """Seconds that a message may wait."""

        @property
        def group_expiry(self) -> float:
            """Seconds that a membership lasts unless it is renewed."""

        def get_capacity(self, channel: str) -> int:
            """Return how many messages may wait in a channel."""

    class WaitingReceiver(Protocol):
        """A receiver that waits for a message."""

        message: Message | None

        def wake(self, current_loop: object = None) -> bool:
            """Let the receiver take `message`; return False if it can no longer be reached.

            Args:
                current_loop: The event loop that runs in this thread, if the caller knows it.
            """

    class Extension(Protocol):
        """What only some programs use. The store calls these methods under its lock."""

        def settle(self, now: float) -> float:
            """Do what is due, and return when to be called again; inf for never."""

        def forget(self, channel: str) -> None:
            """Drop what belongs to a channel."""

        def clear(self) -> None:
            """Become empty."""

    class Ringing(Protocol):
        """Calls `settle_now` at a time, if an event loop runs."""

        def set(self, at: float, now: float) -> None:
            """Ring at a time, or earlier."""

    ReceiverT = TypeVar("ReceiverT", bound=WaitingReceiver)

    #: Several receivers that wait on one channel, in the order in which they came. An ordered dict,
    #: since any of them may leave at any time.
    Receivers: TypeAlias = OrderedDict[WaitingReceiver, None]


class Store:
    """The channels and groups of one layer.

    The cost of an operation does not depend on how many other channels and groups exist.

    Messages and memberships have a clock each: a test that moves the time to see messages expire
    does not mean to end the memberships. Neither clock needs to be steady; when one is set back,
    what waits stays for longer.

    May be used from any thread. Each operation holds the one lock, and never waits under it.

    Attributes:
        channels: By name: the messages or the receivers that wait in a channel; never both, since
            a message is handed to a receiver that waits. A name is in it only while one of them
            waits. A receiver that waits alone, as most do, has no dict around it.
        groups: The members of groups.
        half_full: The channels that were more than half full at the last look. The value is the
            number of their first message if its reader was found busy, or else None.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        group_clock: Callable[[], float] | None = None,
    ) -> None:
        """Start empty.

        Args:
            limits: Gives the expiries and capacities.
            clock: Tells the time in seconds, for messages.
            group_clock: The same for memberships; `clock` if None.
        """
        self._limits = limits
        self._clock = clock
        self._group_clock = group_clock or clock
        # The operations that each message passes do what mockable_time() does by themselves, at
        # half the cost of the call: `time.time is self._original_time` says that no test has
        # replaced the time. With a clock of the program's it is never true.
        self._original_time = ORIGINAL.time if clock is mockable_time else None
        self._base, self._monotonic = ORIGINAL.base, ORIGINAL.monotonic
        self._numbers = itertools.count()
        self._extensions: list[Extension] = []
        # Whether the messages of a channel never expire; None if all messages do.
        self._keeps: Callable[[str], bool] | None = None
        # Told of each membership that has ended.
        self._tell_ended: Callable[[str, str], object] | None = None
        self.start_anew()
        start_anew_in_children(self, type(self).start_anew)

    def start_anew(self) -> None:
        """Become empty, with a lock that nobody holds."""
        self.channels: dict[str, Backlog | WaitingReceiver | Receivers] = {}
        self.groups = Groups(self._tell_ended)
        self.half_full: dict[str, int | None] = {}
        self._backlogs = Backlogs()
        # The listener of each channel that has one.
        self._listeners: dict[str, ListenerRef] = {}
        # References to listeners that are gone; the next `listen` removes them from `_listeners`.
        self._dead_listeners: deque[ListenerRef] = deque()
        self._record_dead_listener = self._dead_listeners.append
        # Listeners to be woken once the lock is released, since they call code of the program.
        self._to_wake: deque[Listener] = deque()
        self._lock = threading.Lock()
        # The operations that each message passes call these directly, at half the cost of `with`,
        # and get each such function from `self` first: Python 3.11 takes a call of `self.name` for
        # that of a method, and looks for one in the class each time.
        self._acquire = self._lock.acquire
        self._release = self._lock.release
        # No message expires before this time, and no receiver has been thrown away.
        self._messages_due = inf
        # No membership expires before this time.
        self._groups_due = inf
        # Messages with a lower number were sent before the last flush.
        self._first_after_flush = next(self._numbers)
        # Receivers that were garbage collected, with their channel; see `give_up_later`.
        self._thrown_away: deque[tuple[str, WaitingReceiver]] = deque()
        # Calls for once the lock is released.
        self._later: deque[Callable[[], object]] = deque()
        # Made when an extension first plans something.
        self._alarm: Ringing | None = None
        for extension in self._extensions:
            extension.clear()

    # Messages

    def put(self, name: str, payload: Payload) -> bool:
        """Hand a message to the channel's first receiver, or let it wait for one.

        Returns:
            False if the channel is full.
        """
        acquire, release = self._acquire, self._release
        acquire()
        try:
            unmocked = time.time is self._original_time
            monotonic = self._monotonic
            now = self._base + monotonic() if unmocked else self._clock()
            if now >= self._messages_due + OVERDUE:
                self._expire_messages(now)
            message = (now + self._limits.expiry, next(self._numbers), payload)
            accepted = self._put(name, message)
            if not accepted and now >= self._messages_due:
                # It may be full of expired messages.
                self._expire_messages(now)
                accepted = self._put(name, message)
        finally:
            release()
        if self._to_wake:
            self._wake_listeners()
        return accepted

    def put_all(self, group: str, payload: Payload, current_loop: object = None) -> int:
        """Put a message into all channels of a group, with no other operation in between.

        Args:
            group: The group.
            payload: The message.
            current_loop: The event loop that runs in this thread, if the caller knows it.

        Returns:
            How many channels were full.
        """
        with self._lock:
            expires = self._expire() + self._limits.expiry
            # One for all: numbers are compared only within a channel.
            message = (expires, next(self._numbers), payload)
            names = tuple(self.groups.members.get(group, ()))
            full = sum([not self._put(name, message, current_loop) for name in names])
        if self._to_wake:
            self._wake_listeners(current_loop)
        return full

    def take(self, name: str, wait: Callable[[], ReceiverT]) -> Message | ReceiverT:
        """Take the first message of a channel, or register a receiver that waits for it.

        Args:
            name: The channel.
            wait: Makes that receiver; called if no message waits.
        """
        acquire, release = self._acquire, self._release
        acquire()
        try:
            unmocked = time.time is self._original_time
            monotonic = self._monotonic
            now = self._base + monotonic() if unmocked else self._clock()
            if now >= self._messages_due:
                self._expire_messages(now)
            queue = self.channels.get(name)
            if type(queue) is Backlog:
                message = queue.popleft()
                if queue.shared is not None:
                    queue.shared.used -= 1
                if not queue:
                    del self.channels[name]
                return message
            receiver = wait()
            if queue is None:
                self.channels[name] = receiver
            elif isinstance(queue, OrderedDict):
                queue[receiver] = None
            else:
                self.channels[name] = OrderedDict({queue: None, receiver: None})
            return receiver
        finally:
            release()

    def give_up(self, name: str, receiver: WaitingReceiver) -> None:
        """Remove a receiver that was cancelled; a message that it was given goes to the next."""
        with self._lock:
            self._give_up(name, receiver, self._expire())

    def give_up_later(self, name: str, receiver: WaitingReceiver) -> None:
        """Remove a receiver that is being garbage collected.

        That happens at any time, also in the middle of another operation of this thread, which
        holds the lock. The next operation then removes the receiver.
        """
        self._thrown_away.append((name, receiver))
        self._messages_due = -inf
        if self._lock.acquire(blocking=False):
            try:
                self._expire()
            finally:
                self._lock.release()

    # Listeners

    def listen(self, name: str, listener: Listener) -> None:
        """Wake a listener for the messages of a channel; it replaces an earlier one.

        Args:
            name: The channel.
            listener: The store does not keep it alive.
        """
        with self._lock:
            self._expire()
            while self._dead_listeners:
                dead = self._dead_listeners.popleft()
                if self._listeners.get(dead.channel) is dead:
                    del self._listeners[dead.channel]
            given = self._end_listening(name)
            if given is not None:
                self._put_back(name, given)
            reference = ListenerRef(listener, self._record_dead_listener)
            reference.channel = name
            self._listeners[name] = reference
            if type(self.channels.get(name)) is Backlog:
                # A program that waits before it looks has to be woken for these messages.
                listener.wake_soon()
            else:
                listener.armed = True

    def take_for_listener(self, name: str, listener: Listener) -> Message | None:
        """Take the first message of a channel, and arm the listener if no further one waits."""
        acquire, release = self._acquire, self._release
        acquire()
        try:
            unmocked = time.time is self._original_time
            monotonic = self._monotonic
            now = self._base + monotonic() if unmocked else self._clock()
            if now >= self._messages_due:
                self._expire_messages(now)
            queue = self.channels.get(name)
            if type(queue) is not Backlog:
                listener.armed = True
                return None
            message = queue.popleft()
            if queue.shared is not None:
                queue.shared.used -= 1
            if not queue:
                del self.channels[name]
                listener.armed = True
            return message
        finally:
            release()

    def listeners(self) -> dict[str, Listener]:
        """Return the listeners by channel."""
        with self._lock:
            pairs = [(name, reference()) for name, reference in self._listeners.items()]
        return {name: listener for name, listener in pairs if listener is not None}

    def _end_listening(self, name: str) -> Message | None:
        """End the listening to a channel, and return the message that was given and not taken."""
        reference = self._listeners.pop(name, None)
        if reference is None or (listener := reference()) is None:
            return None
        return listener.end()

    def _wake_listeners(self, current_loop: object = None) -> None:
        """Wake the listeners of new messages; called once the lock is released."""
        while self._to_wake:
            try:
                listener = self._to_wake.popleft()
            except IndexError:  # pragma: no cover - another thread has woken the last one
                return
            listener.wake(current_loop)

    # Groups

    def join(self, group: str, channel: str) -> None:
        """Add a channel to a group, or renew its membership."""
        with self._lock:
            now = self._expire()
            # As `join_within`, without its call.
            self._join(
                group, channel, now if time.time is self._original_time else self._group_clock()
            )

    def replace_groups(self, members: dict[str, dict[str, float]]) -> None:
        """Replace all groups by those of a program, with the times at which channels joined."""
        with self._lock:
            self._expire()
            self.groups = Groups(self._tell_ended)
            for joined, group, channel in sorted(
                (joined, group, channel)
                for group, channels in members.items()
                for channel, joined in channels.items()
            ):
                self._join(group, channel, joined)

    def forget_memberships(self, channel: str) -> None:
        """End all memberships of a channel."""
        with self._lock:
            self._expire()
            self.groups.forget(channel)

    def drop_expired(self) -> None:
        """Drop expired messages and memberships."""
        with self._lock:
            self._expire()

    def leave(self, group: str, channel: str) -> None:
        """Remove a channel from a group if it is a member."""
        with self._lock:
            self._expire()
            self.groups.discard(group, channel)

    def members(self, group: str) -> list[str]:
        """Return the channels of a group, in the order in which they joined."""
        with self._lock:
            self._expire()
            return list(self.groups.members.get(group, ()))

    # Channels that fill up; see `backpressure`

    def first_to_wait_for(self, name: str) -> int | None:
        """Return the number of the first message of a channel that is more than half full.

        Returns:
            None if the channel is at most half full, or if the reader of that message is busy.
        """
        with self._lock:
            backlog = self._backlogs.kept.get(name)
            given = self._given(name)
            held = (0 if given is None else 1) + (len(backlog) if backlog else 0)
            if not backlog or held * 2 <= self._limits.get_capacity(name):
                self.half_full.pop(name, None)
                return None
            first = (given or backlog[0])[1]
            return None if self.half_full.get(name) == first else first

    def is_first(self, name: str, number: int) -> bool:
        """Return whether a message is still the first of a channel."""
        with self._lock:
            if (given := self._given(name)) is not None:
                return given[1] == number
            backlog = self._backlogs.kept.get(name)
            return backlog is not None and len(backlog) > 0 and backlog[0][1] == number

    def _given(self, name: str) -> Message | None:
        """Return the message that the listener of a channel was given, and has not taken yet."""
        reference = self._listeners.get(name)
        listener = None if reference is None else reference()
        return None if listener is None else listener.given

    def record_busy_reader(self, name: str, number: int) -> None:
        """Record that the first message of a channel is not being taken for now."""
        with self._lock:
            self.half_full[name] = number

    def half_full_members(self, group: str) -> list[str]:
        """Return the channels of a group that were more than half full."""
        with self._lock:
            members = self.groups.members.get(group, ())
            return [name for name in self.half_full if name in members]

    # Channels with all that belongs to them

    def remove(self, name: str) -> None:
        """Drop a channel with its messages and readers, as a program that deletes it expects."""
        with self._lock:
            self.channels.pop(name, None)
            self._end_listening(name)
            self._backlogs.drop(name)
            self.half_full.pop(name, None)
            for extension in self._extensions:
                extension.forget(name)

    def forget(self, name: str) -> None:
        """Drop the messages that wait in a channel, its listener and its memberships."""
        with self._lock:
            self._expire()
            self._end_listening(name)
            if type(self.channels.get(name)) is Backlog:
                del self.channels[name]
            self._backlogs.drop(name)
            self.half_full.pop(name, None)
            self.groups.forget(name)
            for extension in self._extensions:
                extension.forget(name)

    def flush(self) -> None:
        """Drop all messages and groups; readers go on waiting."""
        with self._lock:
            for name, queue in list(self.channels.items()):
                if type(queue) is Backlog:
                    del self.channels[name]
            for reference in self._listeners.values():
                if (listener := reference()) is not None:
                    listener.given = None
            self._backlogs.clear()
            self.half_full.clear()
            self.groups.clear()
            self._first_after_flush = next(self._numbers)
            for extension in self._extensions:
                extension.clear()

    # For extensions

    def attach(self, extension: Extension) -> None:
        """Settle and clear an extension from now on."""
        with self._lock:
            self._extensions.append(extension)

    def keep_for_ever(self, keeps: Callable[[str], bool]) -> None:
        """Let no message of a channel expire for which a function returns True."""
        self._keeps = keeps

    def tell_ended_memberships(self, tell: Callable[[str, str], object]) -> None:
        """Call a function, under the lock, with the group and channel of each ended membership."""
        with self._lock:
            self._tell_ended = self.groups.tell_ended = tell

    @contextmanager
    def operation(self, current_loop: object = None) -> Iterator[float]:
        """Hold the lock, and give the time; afterwards wake readers, and make calls for later.

        Args:
            current_loop: The event loop that runs in this thread, if the caller knows it.
        """
        with self._lock:
            yield self._expire()
        if self._to_wake:
            self._wake_listeners(current_loop)
        if self._later:
            self.call_what_is_left()

    def put_except(
        self, group: str, payload: Payload, excluded: Set[str], current_loop: object = None
    ) -> int:
        """Put a message into the channels of a group but some; return how many were full."""
        with self.operation(current_loop) as now:
            members = self.groups.members.get(group, ())
            names = [name for name in members if name not in excluded]
            return self.put_to(names, payload, now, current_loop)

    def settle_now(self) -> None:
        """Do what is due, and set the alarm again."""
        with self.operation() as now:
            self._settle(now)

    def call_what_is_left(self) -> None:
        """Make the calls for once the lock is released."""
        while self._later:
            try:
                call = self._later.popleft()
            except IndexError:  # pragma: no cover - another thread has made the last one
                return
            call()

    # For extensions, within an operation

    def time(self) -> float:
        """Return the time of messages."""
        return self._clock()

    def next_number(self) -> int:
        """Return a number that no message has."""
        return next(self._numbers)

    def join_within(self, group: str, channel: str, now: float) -> None:
        """Add a channel to a group, or renew its membership."""
        joined = now if time.time is self._original_time else self._group_clock()
        self._join(group, channel, joined)

    def put_to(
        self, names: Iterable[str], payload: Payload, now: float, current_loop: object = None
    ) -> int:
        """Put a message into channels, and return how many were full."""
        message = (now + self._limits.expiry, next(self._numbers), payload)
        if self._keeps is None:
            return sum([not self._put(name, message, current_loop) for name in names])
        for_ever = (inf, *message[1:])
        full = 0
        for name in names:
            if self._keeps(name):
                self._backlogs.keep(name)
                full += not self._put(name, for_ever, current_loop)
            else:
                full += not self._put(name, message, current_loop)
        return full

    def put_beyond_capacity(self, name: str, payload: Payload, most: int) -> int:
        """Put a message into a channel for ever, and drop the oldest beyond a number.

        Returns:
            How many were dropped.
        """
        message = (inf, next(self._numbers), payload)
        if self._give(name, message):
            return 0
        backlog = self._backlogs.keep(name)
        dropped = 0
        while len(backlog) >= most:
            backlog.popleft()
            dropped += 1
        if backlog.shared is not None:
            backlog.shared.used -= dropped
        self._insert(name, backlog, len(backlog), message)
        return dropped

    def put_back(self, name: str, message: Message) -> None:
        """Give a message to the next receiver, or put it back to its old place."""
        if not self._give(name, message):
            self._put_back(name, message)

    def call_later(self, call: Callable[[], object]) -> None:
        """Make a call once the lock is released: it may log, or use the layer."""
        self._later.append(call)

    def plan_settling(self, time: float, now: float) -> None:
        """Settle the extensions at a time: by a timer, or else by the next operation."""
        self._messages_due = min(self._messages_due, time)
        if self._original_time is None:  # a clock of the program's, which moves as it likes
            return
        if self._alarm is None:
            from channels_layers_memory._layer.alarm import Alarm

            self._alarm = Alarm(self.settle_now)
        self._alarm.set(time, now)

    # Under the lock

    def _expire(self) -> float:
        """Drop expired messages and memberships, and return the time."""
        unmocked = time.time is self._original_time
        now = self._base + self._monotonic() if unmocked else self._clock()
        if now >= self._messages_due:
            self._expire_messages(now)
        joined = now if unmocked else self._group_clock()
        if joined >= self._groups_due:
            group_expiry = self._limits.group_expiry
            self.groups.expire(joined - group_expiry)
            self._groups_due = self.groups.oldest + group_expiry
        return now

    def _expire_messages(self, now: float) -> None:
        for name, backlog in self._backlogs.expire(now):
            if not backlog:
                del self.channels[name]
            # A channel that lets a message expire has no reader any more.
            self.groups.forget(name)
        self._messages_due = self._backlogs.next_check
        if self.half_full:
            kept = self._backlogs.kept
            self.half_full = {name: first for name, first in self.half_full.items() if name in kept}
        if self._extensions:
            self._settle(now)
        # Last: receivers that are thrown away from here on set `_messages_due` again.
        while self._thrown_away:
            self._give_up(*self._thrown_away.popleft(), now)

    def _settle(self, now: float) -> None:
        due = min(extension.settle(now) for extension in self._extensions)
        while self._to_wake:
            try:
                listener = self._to_wake.popleft()
            except IndexError:  # pragma: no cover - another thread has woken the last one
                break
            # Not at once: that calls code of the program, and the lock is held.
            listener.wake_soon()
        if due < inf:
            self.plan_settling(due, now)

    def _join(self, group: str, channel: str, now: float) -> None:
        self.groups.add(group, channel, now)
        self._groups_due = min(self._groups_due, now + self._limits.group_expiry)

    def _put(  # noqa: C901 - no call for each message
        self, name: str, message: Message, current_loop: object = None
    ) -> bool:
        queue = self.channels.get(name)
        backlog: Backlog | None = None
        if type(queue) is Backlog:
            backlog = queue
        elif queue is not None and self._hand_over(name, queue, message, current_loop):
            return True
        reference = self._listeners.get(name)
        listener = None if reference is None else reference()
        if backlog is None:
            if (
                listener is not None
                and listener.armed
                # Otherwise the channel is more than half full with its first message.
                and self._limits.get_capacity(name) > 1
                and listener.give(message, current_loop)
            ):
                return True
            backlog = self._backlogs.kept.get(name)
            if backlog is None:
                backlog = self._backlogs.new(name)
        shared = backlog.shared
        held = len(backlog) if shared is None else shared.used
        capacity = self._limits.get_capacity(name)
        if held >= capacity:
            return False
        if listener is not None and listener.given is not None:
            # It is not taken yet, so it counts as well, here and for half of the capacity below.
            if held + 1 >= capacity:
                return False
            capacity -= 2
        if shared is not None:
            shared.used = held + 1
        if not backlog:
            self.channels[name] = backlog
        backlog.append(message)
        if message[0] < backlog.next_check:
            self._plan_check(name, backlog, message[0])
        if held + held + 2 > capacity:
            self.half_full.setdefault(name, None)
        if listener is not None and listener.armed:
            listener.armed = False
            self._to_wake.append(listener)
        return True

    def _put_back(self, name: str, message: Message) -> None:
        """Put a message back to its old place, whatever the capacity: it was accepted once."""
        backlog = self._backlogs.kept.get(name)
        if backlog is None:
            for_ever = message[0] == inf
            backlog = self._backlogs.keep(name) if for_ever else self._backlogs.new(name)
        # Only messages that were put back as well can stand before it.
        place = 0
        while place < len(backlog) and backlog[place][1] < message[1]:
            place += 1
        self._insert(name, backlog, place, message)

    def _insert(self, name: str, backlog: Backlog, place: int, message: Message) -> None:
        """Put a message into a backlog, whatever the capacity."""
        if backlog.shared is not None:
            backlog.shared.used += 1
        if not backlog:
            self.channels[name] = backlog
        backlog.insert(place, message)
        if message[0] < backlog.next_check:
            self._plan_check(name, backlog, message[0])
        reference = self._listeners.get(name)
        if reference is not None and (listener := reference()) is not None and listener.armed:
            listener.armed = False
            listener.wake_soon()

    def _plan_check(self, name: str, backlog: Backlog, time: float) -> None:
        self._backlogs.plan_check(name, backlog, time)
        self._messages_due = min(self._messages_due, time)

    def _hand_over(
        self,
        name: str,
        waiting: WaitingReceiver | Receivers,
        message: Message,
        current_loop: object = None,
    ) -> bool:
        """Give a message to the receiver that has waited longest.

        Returns:
            False if none can be reached any more; the channel is then removed.
        """
        while True:
            if isinstance(waiting, OrderedDict):
                receiver, _ = waiting.popitem(last=False)
                last = not waiting
            else:
                receiver, last = waiting, True
            if last:
                del self.channels[name]
            receiver.message = message
            if receiver.wake(current_loop):
                return True
            receiver.message = None
            if last:
                return False

    def _give(self, name: str, message: Message) -> bool:
        """Give a message to the receiver that has waited longest, if there is one."""
        queue = self.channels.get(name)
        if queue is None or isinstance(queue, Backlog):
            return False
        return self._hand_over(name, queue, message)

    def _give_up(self, name: str, receiver: WaitingReceiver, now: float) -> None:
        message, receiver.message = receiver.message, None
        queue = self.channels.get(name)
        waiting = None if isinstance(queue, Backlog) else queue
        if message is None:
            if isinstance(waiting, OrderedDict):
                waiting.pop(receiver, None)
            if waiting is receiver or waiting == {}:
                del self.channels[name]
        elif message[1] < self._first_after_flush:
            return
        elif message[0] <= now:
            self.groups.forget(name)
        else:
            self.put_back(name, message)
