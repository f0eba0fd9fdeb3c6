"""One channel of this process: what waits in it, who reads it, and the groups that it is in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, final

if TYPE_CHECKING:
    from typing import Protocol

    from channels_layers_redis._layer.codec import Body

    class Owner(Protocol):
        """What a mailbox needs of `Mailboxes`."""

        lock: threading.Lock

        def next(self, mailbox: Mailbox, /) -> Message | None:
            """Take the first message that has not expired; under the lock."""

        def read(self, message: Message, /) -> dict[str, Any] | None:
            """Return the content of a message, or None if it cannot be read."""


__all__ = ["Group", "Mailbox", "Message", "Receiver", "groups_of"]

#: When it expires, and the message.
Message: TypeAlias = tuple[float, "Body"]


@final
class Receiver:
    """One call of `receive()` that waits in one event loop."""

    __slots__ = ("gone", "message", "missed", "woken")

    def __init__(self) -> None:
        """Belong to the event loop that runs."""
        self.woken: asyncio.Future[None] = asyncio.Future()
        #: The message that was handed over.
        self.message: Message | None = None
        #: Whether messages may have been lost.
        self.missed = False
        #: Whether the call was thrown away.
        self.gone = False

    def wake(self, here: object) -> bool:
        """Let the call go on; return False if nobody waits any more.

        Args:
            here: The event loop that runs in this thread, or None.
        """
        if self.gone or self.woken.done():
            return False
        loop = self.woken.get_loop()
        if loop is here:
            self.woken.set_result(None)
            return True
        try:
            loop.call_soon_threadsafe(self._set_woken)
        except RuntimeError:  # The loop is closed.
            return False
        return True

    def _set_woken(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


@final
class Mailbox:
    """One channel of this process.

    Everything but `take` is called under the lock of `Mailboxes`.
    """

    __slots__ = (
        "armed",
        "arriving",
        "groups",
        "loop",
        "messages",
        "missed",
        "name",
        "overflowed",
        "owner",
        "receivers",
        "to_skip",
        "wake",
    )

    def __init__(self, owner: Owner, name: str) -> None:
        """Make an empty one."""
        self.owner = owner
        self.name = name
        self.messages: list[Message] = []
        #: The calls of `receive` that wait, in the order in which they came.
        self.receivers: list[Receiver] | None = None
        #: The event loop of the listener, and what wakes it; None without a listener.
        self.loop: asyncio.AbstractEventLoop | None = None
        self.wake: Callable[[], object] | None = None
        #: True while the next message has to wake the listener.
        self.armed = False
        #: Messages of this process that have a place here and are on their way.
        self.arriving = 0
        #: How many of those on their way were sent before the channel was emptied.
        self.to_skip = 0
        #: Whether messages may have been lost since the last look.
        self.missed = False
        self.overflowed = False
        #: The groups that the channel is in; mostly one, and the set for more takes 0.2 KiB.
        self.groups: Group | set[Group] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost with it."""
        return not (
            self.messages
            or self.receivers
            or self.wake
            or self.groups
            or self.arriving
            or self.to_skip
            or self.missed
        )

    def take(self) -> dict[str, Any] | None:
        """Return the next message, or None if none waits now; see `listen`."""
        if self.armed:
            return None
        owner = self.owner
        while True:
            with owner.lock:
                message = owner.next(self)
                if not (self.messages or self.missed or self.overflowed):
                    self.armed = self.wake is not None
            if message is None:
                return None
            if (content := owner.read(message)) is not None:
                return content


class Group:
    """One group, with its members among the channels of one event loop.

    The members are changed under the lock of `Mailboxes`.
    """

    def __init__(self, name: str) -> None:
        """Start without a member."""
        self.name = name
        #: The members, with the time at which each membership ends.
        self.members: dict[Mailbox, float] = {}
        #: Resolved when Redis has confirmed the subscription; None after that.
        self.subscribing: asyncio.Future[Any] | None = None

    @cached_property
    def tag(self) -> str:
        """The tag of the group in positions."""
        from channels_core.layer_extensions import group_tag  # for groups with history only

        return group_tag(self.name)

    def add(self, mailbox: Mailbox, until: float) -> None:
        """Make a channel a member, or renew its membership."""
        self.members[mailbox] = until
        groups = mailbox.groups
        if groups is None:
            mailbox.groups = self
        elif isinstance(groups, set):
            groups.add(self)
        elif groups is not self:
            mailbox.groups = {groups, self}

    def remove(self, mailbox: Mailbox) -> None:
        """End the membership of a channel, if it has one."""
        self.members.pop(mailbox, None)
        groups = mailbox.groups
        if groups is self:
            mailbox.groups = None
        elif isinstance(groups, set):
            groups.discard(self)
            if not groups:
                mailbox.groups = None


def groups_of(mailbox: Mailbox) -> list[Group]:
    """Return the groups of a channel."""
    groups = mailbox.groups
    if groups is None:
        return []
    return list(groups) if isinstance(groups, set) else [groups]
