"""Hold what has arrived for the channels of this process until their readers take it.

A channel is read by calls of `receive`, each in the event loop in which it waits, or by the
function that `listen` returned, which takes what waits and is woken for more. What waits is bounded
by the capacity of the channel.

A sender in this process reserves a place before it publishes, so it learns that the channel is
full. What comes from elsewhere finds the channel full or not when it arrives.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from channels_core.exceptions import InvalidFrame, MessagesMissed
from channels_layers_redis._layer.mailbox import Group, Mailbox, Message, Receiver

if TYPE_CHECKING:
    from typing import Protocol

    from channels_layers_redis._layer.codec import Body
    from channels_layers_redis._layer.dropped_messages import DroppedMessages

    class Limits(Protocol):
        """The limits of a layer. They are read at each use, so a program may change them."""

        expiry: int
        group_expiry: int
        overflow: str

        def get_capacity(self, channel: str) -> int:
            """Return how many messages may wait in a channel."""


__all__ = ["OVERFLOW", "ChannelOverflow", "Mailboxes"]

_TRY_AGAIN_LATER: Final = 1013  # IANA, "WebSocket Close Code Number Registry"

#: What happens when a message comes for a channel that is full.
OVERFLOW: Final = ("drop newest", "drop oldest", "close")


class ChannelOverflow(InvalidFrame):
    """More messages came for a channel than it holds, and its layer has `overflow="close"`.

    It is answered as what a client causes that is too slow: its WebSocket is closed with 1013, and
    one line is logged.
    """


class Mailboxes:
    """The channels of one layer in this process, for all its threads and event loops."""

    def __init__(
        self,
        limits: Limits,
        dropped: DroppedMessages,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            limits: Gives the expiry, the capacities and what to do with a full channel.
            dropped: Counts what is dropped.
            clock: Returns the time in seconds and never goes back.
        """
        self._limits = limits
        self._dropped = dropped
        self.clock = clock
        self.start_anew()

    def start_anew(self) -> None:
        """Become empty, with a lock that nobody holds."""
        self.lock = threading.Lock()
        self.by_name: dict[str, Mailbox] = {}
        #: Those without a reader, which go when their messages have expired.
        self._orphans: set[str] = set()

    # Readers

    def find(self, name: str) -> Mailbox:
        """Return the mailbox of a channel, which is made if there is none; under the lock."""
        mailbox = self.by_name.get(name)
        if mailbox is None:
            mailbox = self.by_name[name] = Mailbox(self, name)
            self._orphans.add(name)
        return mailbox

    def listen(self, name: str, wake: Callable[[], object]) -> Mailbox:
        """Wake a listener for a channel, in the event loop that runs."""
        loop = asyncio.get_running_loop()
        with self.lock:
            mailbox = self.find(name)
            self._orphans.discard(name)
            mailbox.loop = loop
            mailbox.wake = wake
            mailbox.armed = not (mailbox.messages or mailbox.missed)
            if not mailbox.armed:
                # A program that waits before it looks has to be woken for these messages.
                loop.call_soon(wake)
        return mailbox

    async def receive(self, name: str) -> dict[str, Any]:
        """Wait for the next message of a channel.

        Raises:
            MessagesMissed: Messages may have been lost.
            ChannelOverflow: More messages came than the channel holds.
        """
        while True:
            receiver = None
            with self.lock:
                mailbox = self.find(name)
                message = self.next(mailbox)
                if message is None:
                    receiver = Receiver()
                    if mailbox.receivers is None:
                        mailbox.receivers = [receiver]
                    else:
                        mailbox.receivers.append(receiver)
            if receiver is not None:
                message = await self._wait(mailbox, receiver)
            assert message is not None  # one of the two was there
            if (content := self.read(message)) is not None:
                return content

    async def _wait(self, mailbox: Mailbox, receiver: Receiver) -> Message | None:
        """Wait until a message is handed to a call of `receive`."""
        try:
            await receiver.woken
        except GeneratorExit:
            # Thrown away, perhaps in the middle of an operation that holds the lock.
            receiver.gone = True
            raise
        except BaseException:
            self._give_up(mailbox, receiver)
            raise
        if receiver.missed:
            raise _missed(mailbox.name)
        return receiver.message

    def _give_up(self, mailbox: Mailbox, receiver: Receiver) -> None:
        """Remove a call that was cancelled; what it was given goes to the next one."""
        wakes: list[Mailbox] = []
        with self.lock:
            receivers = mailbox.receivers
            if receivers is not None and receiver in receivers:
                receivers.remove(receiver)
                if not receivers:
                    mailbox.receivers = None
            if receiver.missed:
                mailbox.missed = True
            elif receiver.message is not None and not self._hand_over(mailbox, receiver.message):
                mailbox.messages.insert(0, receiver.message)
            if mailbox.armed and (mailbox.messages or mailbox.missed):
                mailbox.armed = False
                wakes.append(mailbox)
        _wake_all(wakes)

    def next(self, mailbox: Mailbox) -> Message | None:
        """Take the first message that has not expired; under the lock.

        Raises:
            MessagesMissed: Messages may have been lost.
            ChannelOverflow: More messages came than the channel holds.
        """
        if mailbox.missed:
            mailbox.missed = False
            raise _missed(mailbox.name)
        if mailbox.overflowed:
            mailbox.overflowed = False
            capacity = self._limits.get_capacity(mailbox.name)
            raise ChannelOverflow(
                f"Channel {mailbox.name!r} got more messages than its capacity of {capacity}",
                _TRY_AGAIN_LATER,
            )
        messages = mailbox.messages
        if messages:
            now = self.clock()
            while messages:
                message = messages.pop(0)
                if message[0] > now:
                    return message
        return None

    def read(self, message: Message) -> dict[str, Any] | None:
        """Return the content of a message; one that cannot be read is counted."""
        try:
            return message[1].copy()
        except ValueError as error:
            self._dropped.add_unreadable(error)
            return None

    # Messages

    def reserve(self, name: str) -> bool:
        """Keep a place for a message that this process is about to send.

        Returns:
            False if the channel is full.
        """
        with self.lock:
            mailbox = self.find(name)
            if (mailbox.messages or mailbox.arriving) and self._is_full(mailbox, self.clock()):
                return False
            mailbox.arriving += 1
            return True

    def release(self, name: str) -> None:
        """Give up the place of a message that could not be sent."""
        with self.lock:
            mailbox = self.find(name)
            if mailbox.to_skip:
                mailbox.to_skip -= 1
            else:
                mailbox.arriving = max(0, mailbox.arriving - 1)

    def put_reserved(self, name: str, body: Body) -> None:
        """Put a message into its place."""
        wakes: list[Mailbox] = []
        with self.lock:
            mailbox = self.find(name)
            if mailbox.to_skip:
                mailbox.to_skip -= 1
                return
            mailbox.arriving = max(0, mailbox.arriving - 1)
            self._add(mailbox, (self.clock() + self._limits.expiry, body), wakes)
        _wake_all(wakes)

    def put(self, name: str, body: Body) -> None:
        """Put a message of another process into a channel, if there is room."""
        wakes: list[Mailbox] = []
        with self.lock:
            dropped = self._put(self.find(name), body, self.clock(), wakes)
        _wake_all(wakes)
        if dropped:
            self._dropped.add(f"Channel {name!r} is", dropped)

    def put_all(
        self, group: Group, body: Body, excluded: frozenset[str], instead: Body | None
    ) -> None:
        """Put a message into all channels of a group that have room.

        Args:
            group: The group.
            body: The message.
            excluded: The channels that get no copy.
            instead: What these get instead, if anything.
        """
        wakes: list[Mailbox] = []
        over: list[Mailbox] = []
        full = 0
        with self.lock:
            now = self.clock()
            message = (now + self._limits.expiry, body)
            for mailbox, until in group.members.items():
                if until <= now:
                    over.append(mailbox)
                elif excluded and mailbox.name in excluded:
                    if instead is not None:
                        full += self._put(mailbox, instead, now, wakes)
                elif mailbox.messages or mailbox.receivers or mailbox.arriving:
                    full += self._put(mailbox, body, now, wakes)
                else:
                    # What mostly happens: the channel is empty, and its listener waits.
                    mailbox.messages.append(message)
                    if mailbox.armed:
                        mailbox.armed = False
                        wakes.append(mailbox)
            for mailbox in over:
                group.remove(mailbox)
        _wake_all(wakes)
        if full:
            self._dropped.add(f"Group {group.name!r} has channels", full)

    def _put(self, mailbox: Mailbox, body: Body, now: float, wakes: list[Mailbox]) -> int:
        """Add a message if there is room; return how many were dropped."""
        dropped = 0
        messages = mailbox.messages
        if (messages or mailbox.arriving) and self._is_full(mailbox, now):
            dropped = 1
            if self._limits.overflow == "drop newest" or not messages:
                return dropped
            if self._limits.overflow == "close":
                # Its listener has been woken for the messages that waited.
                mailbox.overflowed = True
                dropped += len(messages)
                messages.clear()
                return dropped
            messages.pop(0)
        self._add(mailbox, (now + self._limits.expiry, body), wakes)
        return dropped

    def _is_full(self, mailbox: Mailbox, now: float) -> bool:
        capacity = self._limits.get_capacity(mailbox.name)
        if len(mailbox.messages) + mailbox.arriving < capacity:
            return False
        self._drop_expired(mailbox, now)
        return len(mailbox.messages) + mailbox.arriving >= capacity

    def _add(self, mailbox: Mailbox, message: Message, wakes: list[Mailbox]) -> None:
        """Hand a message to a call that waits, or add it, and have the listener woken."""
        if mailbox.receivers is not None and self._hand_over(mailbox, message):
            return
        mailbox.messages.append(message)
        if mailbox.armed:
            mailbox.armed = False
            wakes.append(mailbox)

    def _hand_over(self, mailbox: Mailbox, message: Message | None) -> bool:
        """Hand a message, or the news of lost ones, to the call that has waited longest."""
        here = asyncio._get_running_loop()
        receivers = mailbox.receivers
        while receivers:
            receiver = receivers.pop(0)
            if not receivers:
                mailbox.receivers = None
            receiver.message = message
            receiver.missed = message is None
            if receiver.wake(here):
                return True
            receiver.message, receiver.missed = None, False
        return False

    def _drop_expired(self, mailbox: Mailbox, now: float) -> None:
        messages = mailbox.messages
        while messages and messages[0][0] <= now:
            messages.pop(0)

    # Channels as a whole

    def forget(self, name: str) -> Mailbox | None:
        """Drop the messages and the listener of a channel; return it with its groups."""
        with self.lock:
            mailbox = self.by_name.get(name)
            if mailbox is None:
                return None
            self._empty(mailbox)
            mailbox.wake = mailbox.loop = None
            mailbox.armed = True
            if mailbox.to_skip or mailbox.receivers:
                self._orphans.add(name)
            else:
                del self.by_name[name]
                self._orphans.discard(name)
            return mailbox

    def empty(self, names: Callable[[str], bool]) -> None:
        """Drop the messages of channels; readers go on waiting."""
        with self.lock:
            for name, mailbox in self.by_name.items():
                if names(name):
                    self._empty(mailbox)
                    if mailbox.wake is not None:
                        mailbox.armed = True

    def _empty(self, mailbox: Mailbox) -> None:
        mailbox.messages.clear()
        mailbox.to_skip += mailbox.arriving
        mailbox.arriving = 0
        mailbox.missed = mailbox.overflowed = False

    def remove(self, names: Callable[[str], bool]) -> None:
        """Drop the channels of an event loop that has ended."""
        with self.lock:
            for name in [name for name in self.by_name if names(name)]:
                del self.by_name[name]
                self._orphans.discard(name)

    def tell_missed(self, names: Callable[[Mailbox], bool]) -> None:
        """Tell the readers of channels that messages may have been lost."""
        wakes: list[Mailbox] = []
        with self.lock:
            for mailbox in list(self.by_name.values()):
                if not names(mailbox):
                    continue
                # What was on its way is lost, too.
                mailbox.arriving = mailbox.to_skip = 0
                if mailbox.receivers is not None and self._hand_over(mailbox, None):
                    continue
                if mailbox.wake is None and mailbox.groups is None:
                    continue
                mailbox.missed = True
                if mailbox.armed:
                    mailbox.armed = False
                    wakes.append(mailbox)
        _wake_all(wakes)

    def sweep(self) -> None:
        """Drop channels that nobody reads, once their messages have expired."""
        now = self.clock()
        with self.lock:
            for name in list(self._orphans):
                mailbox = self.by_name.get(name)
                if mailbox is None:
                    self._orphans.discard(name)
                    continue
                self._drop_expired(mailbox, now)
                if mailbox.is_idle:
                    del self.by_name[name]
                    self._orphans.discard(name)


def _wake_all(mailboxes: list[Mailbox]) -> None:
    """Wake listeners, each in its event loop; not under the lock, since they are the program's."""
    here = asyncio._get_running_loop() if mailboxes else None
    for mailbox in mailboxes:
        wake, loop = mailbox.wake, mailbox.loop
        if wake is None or loop is None:
            continue
        if loop is here:
            wake()
        else:
            with suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(wake)


def _missed(name: str) -> MessagesMissed:
    return MessagesMissed(
        f"Messages for channel {name!r} may be lost: the connection to Redis was away"
    )
