"""Who is in the groups: what this process tells Redis of its members.

Redis keeps the members of a process as long as it renews its lease. One `Lease` does so for all
members of one event loop on one server, and has what is overdue removed, of all processes. What it
could not do because Redis was away, it does later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from hashlib import blake2s
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import RedisError

from channels_core.layer_extensions import checked_member
from channels_layers_redis._scripts import members
from channels_layers_redis._scripts.members import Notices, Person

if TYPE_CHECKING:
    from channels_layers_redis._layer.addresses import Addresses
    from channels_layers_redis._layer.codec import Codec
    from channels_layers_redis._layer.dropped_messages import DroppedMessages
    from channels_layers_redis._scripts.calls import Call
    from channels_layers_redis._scripts.keys import Keys

__all__ = ["JOINED", "LEFT", "Lease", "Member", "Members"]

#: The letters with which notices begin, and the type of the message that each becomes.
JOINED: Final = b"j"
LEFT: Final = b"l"
_TYPES: Final = {JOINED: "group.joined", LEFT: "group.left"}

#: Seconds between two looks at least, so that a crowd that leaves does not cause one for each.
_SPACING: Final = 0.25
#: Seconds after which something is tried again that failed.
_RETRY: Final = 1.0
#: Redis counts in whole milliseconds.
_ROUNDING: Final = 0.002

_OUTAGES: Final = (RedisError, OSError)


class Member(NamedTuple):
    """A member, as Redis keeps it.

    Attributes:
        person: A digest of its id.
        data: The data, packed.
    """

    person: str
    data: bytes


class Members:
    """How the members of one layer are packed and told.

    Attributes:
        keys: The names of the keys.
        notices: How groups are told of them.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        addresses: Addresses,
        codec: Codec,
        dropped: DroppedMessages,
        lease: float,
        linger: float,
        secret: bytes,
    ) -> None:
        """Take the options.

        Args:
            keys: The names of the keys.
            addresses: Where processes listen.
            codec: Packs and unpacks data.
            dropped: Counts data that cannot be read.
            lease: Seconds after which the members of a process that was killed are gone.
            linger: Seconds for which a member without a connection stays.
            secret: Makes digests of ids that nobody else can make; may be empty.
        """
        self.keys = keys
        self._codec = codec
        self._dropped = dropped
        self._secret = blake2s(secret).digest() if secret else b""
        to = addresses.group("*")
        self.notices = Notices(to=to, joined=JOINED, left=LEFT, lease=lease, linger=linger)

    def pack(self, member: object) -> Member:
        """Check the data of a member, and pack them.

        Raises:
            TypeError: A part is of a wrong type.
            ValueError: The data are not valid.
        """
        data = checked_member(member)
        return Member(self._digest(data["id"]), self._codec.pack(data))

    def unpack(self, data: bytes) -> Member:
        """Return the member with these packed data.

        Raises:
            ValueError: They cannot be read.
        """
        return Member(self._digest(self._codec.unpack(data)["id"]), data)

    def _digest(self, name: str | int) -> str:
        # 1 and "1" are two ids.
        text = f"{type(name).__name__}:{name}"
        return blake2s(text.encode(), digest_size=16, key=self._secret).hexdigest()

    def people(self, group: str) -> Call[list[Person]]:
        """Return the call that finds who is in a group."""
        return members.people(self.keys, self.notices, "", group)

    def listed(self, people: Iterable[Person]) -> list[dict[str, Any]]:
        """Return what `group_members` returns."""
        found = []
        for person in people:
            try:
                data = self._codec.unpack(person.data)
            except ValueError as error:
                self._dropped.add_unreadable(error)
            else:
                found.append({**data, "connections": person.connections})
        return found

    def notice(self, data: bytes) -> dict[str, Any]:
        """Return the message for a notice that was published.

        Raises:
            ValueError: It cannot be read.
        """
        group, _, packed = data[1:].partition(b" ")
        member = self._codec.unpack(packed)
        return {"type": _TYPES[data[:1]], "group": group.decode(), "member": member}


class Lease:
    """The members of one event loop on one server."""

    def __init__(
        self,
        layer_members: Members,
        process: str,
        run: Callable[[Call[Any]], Awaitable[Any]],
        start: Callable[[Coroutine[Any, Any, None]], object],
        is_in_group: Callable[[str, str], bool],
        group_expiry: float,
    ) -> None:
        """Start without a member, and without a lease.

        Args:
            layer_members: The members of the layer.
            process: Names the event loop.
            run: Runs a script on the server.
            start: Starts a task that is cancelled when the link is closed.
            is_in_group: Returns whether a channel is still in a group.
            group_expiry: Seconds after which a membership ends that was not renewed.
        """
        self._loop = asyncio.get_running_loop()
        self._keys = layer_members.keys
        self._notices = layer_members.notices
        self._process = process
        self._run = run
        self._start = start
        self._is_in_group = is_in_group
        self._pause = min(layer_members.notices.lease / 2, group_expiry + _ROUNDING)
        # By group and channel.
        self._members: dict[tuple[str, str], Member] = {}
        #: Those which may still be in Redis though they have left.
        self._to_leave: set[tuple[str, str]] = set()
        #: When people without a connection are gone.
        self._lingering: deque[float] = deque()
        #: Whether Redis has the lease, as far as is known; and whether it has lost the members.
        self._held = False
        self._lost = False
        #: Whether somebody here wants to know when members of other processes are gone.
        self._watches = False
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look after the members of other processes as long as there are any.

        Otherwise nobody might notice that the last process with members was killed.
        """
        if not self._watches:
            self._watches = True
            self._look_in(self._pause)

    async def join(self, group: str, channel: str, member: Member) -> None:
        """Record the member behind a channel, which is in the group already.

        Raises:
            redis.exceptions.RedisError: Redis cannot be asked.
        """
        key = group, channel
        self._to_leave.discard(key)
        self._members[key] = member
        self._look_in(self._pause)
        try:
            fresh = await self._join(key, member)
        except BaseException:
            # It may have been done nevertheless.
            self._members.pop(key, None)
            self._leave_later(key)
            raise
        if fresh and self._held:
            self._lost = True
            self._look_in(0.0)
        self._held = True

    async def _join(self, key: tuple[str, str], member: Member) -> bool:
        call = members.join(self._keys, self._notices, self._process, *key, *member)
        joined: members.Joined = await self._run(call)
        return joined.fresh

    async def _join_again(self, key: tuple[str, str]) -> None:
        member = self._members.get(key)
        if member is not None:  # it may have left a moment ago
            await self._join(key, member)

    async def leave(self, group: str, channel: str) -> None:
        """Forget the member behind a channel, if there is one; later if Redis is away."""
        key = group, channel
        if self._members.pop(key, None) is None:
            return
        try:
            await self._leave(key)
        except _OUTAGES:
            self._leave_later(key)
        except BaseException:
            self._leave_later(key)
            raise

    async def _leave(self, key: tuple[str, str]) -> None:
        call = members.leave(self._keys, self._notices, self._process, *key)
        left: members.Left = await self._run(call)
        if left.lingers:
            pause = self._notices.linger + _ROUNDING
            self._lingering.append(self._loop.time() + pause)
            self._look_in(pause)

    def _leave_later(self, key: tuple[str, str]) -> None:
        self._to_leave.add(key)
        self._look_in(_RETRY)

    def clear(self) -> None:
        """Forget everything: Redis was emptied."""
        self._members.clear()
        self._to_leave.clear()
        self._lingering.clear()
        self._held = self._lost = self._watches = False

    async def close(self) -> None:
        """End the lease, with all members."""
        self._members.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held:
            with suppress(*_OUTAGES):  # then it ends by itself
                await self._end()

    # Looking after it

    def _look_in(self, seconds: float) -> None:
        """Look in some seconds, or earlier if that was planned."""
        when = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look_now)

    def _look_now(self) -> None:
        self._timer = None
        self._start(self._look())

    async def _look(self) -> None:
        """Renew the lease, or end it if nothing depends on it."""
        try:
            await self._leave_all()
            now = self._loop.time()
            while self._lingering and self._lingering[0] <= now:
                self._lingering.popleft()
            pause = await self._renew()
            if not (self._members or self._lingering or self._to_leave or self._watches):
                await self._end()
                return
        except _OUTAGES:
            pause = _RETRY
        if self._lingering:
            pause = min(pause, max(_SPACING, self._lingering[0] - self._loop.time()))
        self._look_in(pause)

    async def _leave_all(self) -> None:
        """Let those leave who have left, or whose membership of the group has ended."""
        for key in [one for one in self._members if not self._is_in_group(*one)]:
            await self.leave(*key)
        for key in list(self._to_leave):
            await self._leave(key)
            self._to_leave.discard(key)

    async def _renew(self) -> float:
        """Renew the lease; return the seconds after which to do it again."""
        call = members.renew(self._keys, self._notices, self._process)
        renewed: members.Renewed = await self._run(call)
        if renewed.fresh and self._held:
            self._lost = True
        self._held = True
        while renewed.more:
            renewed = await self._run(call)
        self._watches = self._watches and renewed.known > 0
        if self._lost:
            await asyncio.gather(*map(self._join_again, list(self._members)))
            self._lost = False
        pause = min(self._pause, renewed.next_end + _ROUNDING)
        return max(_SPACING, pause)

    async def _end(self) -> None:
        """End the lease, unless there is a new member in the meantime."""
        call = members.end_process(self._keys, self._notices, self._process)
        while not self._members:
            if await self._run(call):
                # One that has joined since has a new lease.
                self._held = bool(self._members)
                return
