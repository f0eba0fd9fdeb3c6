"""Connect one event loop with Redis: its channels, its groups, and what it sends.

A link is made with the first call of the layer in an event loop, and used in that event loop only.
A call for a channel of another link goes to that link: in this process through its event loop, or
else as a request that is published to its process.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    RedisError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from channels_core.exceptions import ChannelFull
from channels_layers_redis._layer.addresses import token_of
from channels_layers_redis._layer.codec import Body
from channels_layers_redis._layer.envelopes import (
    NOBODY,
    Request,
    answer,
    group_message,
    read_answer,
    read_group_message,
)
from channels_layers_redis._layer.hosts import Host
from channels_layers_redis._layer.mailbox import Group, Mailbox, groups_of
from channels_layers_redis._layer.shard import Shard
from channels_layers_redis._layer.waiting import Reader
from channels_layers_redis._layer.wire import again
from channels_layers_redis._scripts import plain_members, waiting

if TYPE_CHECKING:
    from channels_core.layer_extensions import Delivery, HistoryLimits
    from channels_layers_redis._layer.cluster_host import ClusterHost
    from channels_layers_redis._layer.history import Histories, Read
    from channels_layers_redis._layer.members import Lease, Member
    from channels_layers_redis._layer.queues import Given, Queues
    from channels_layers_redis._layer.shard import Place
    from channels_layers_redis._layer.shared import LocalLink, Shared
    from channels_layers_redis._scripts.calls import Call
    from channels_layers_redis._scripts.history import Kept
    from channels_layers_redis._scripts.queues import Ended
    from channels_layers_redis._scripts.waiting import Taken

__all__ = ["Link", "full"]

_T = TypeVar("_T")

#: A group, the position after which its messages are wanted, and how many.
Asked: TypeAlias = tuple[str, "str | None", "int | None"]

#: Seconds between two looks for what is no longer used.
_SWEEP: Final = 30.0
#: The messages to groups that an event loop sends without listening.
_UNHEARD_SENDS: Final = 3
#: Seconds that the answer to a request from synchronous code is kept.
_ANSWER_KEPT: Final = 30


class Link:
    """One event loop of this process, as other processes see it.

    Attributes:
        token: Names it in the names of its channels.
        loop: The event loop.
    """

    def __init__(self, shared: Shared, on_end: Callable[[Link], object]) -> None:
        """Belong to the event loop that runs.

        Args:
            shared: What the links of the layer share.
            on_end: Called when the link has ended.
        """
        self.loop = asyncio.get_running_loop()
        self.token = secrets.token_hex(8)
        self._shared = shared
        self._on_end = on_end
        self._shards = [self._open(host) for host in shared.hosts]
        self._groups: dict[str, Group] = {}
        # Any: a queue's has other messages than that of a plain channel.
        self._readers: dict[str, Reader[Any]] = {}
        # The members of groups on each server, once there are some.
        self._leases: dict[Place, Lease] = {}
        # The requests to other processes that have no answer yet.
        self._requests: dict[str, asyncio.Future[str]] = {}
        # What is waited for until this link has heard it: see `flush`.
        self._words: dict[bytes, asyncio.Future[None]] = {}
        # The reads of histories that were asked for and not sent yet.
        self._reading: dict[Asked, asyncio.Task[Read]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        # The messages to groups that were sent through a shard that does not listen.
        self._unheard_sends = 0
        # Resolved when messages to the channels of this link arrive; None before it needs them.
        self._opening: asyncio.Future[Any] | None = None
        self._ended = False
        shared.links[self.token] = self

    # Connections

    def _open(self, host: Host | ClusterHost) -> Place:
        """Return the place that a host stands for; nothing connects yet."""
        shared = self._shared
        control, plain_groups = shared.addresses.control, shared.keys.plain_groups
        if isinstance(host, Host):
            return Shard(
                host,
                shared.outages,
                control=control,
                plain_groups=plain_groups,
                on_return=self._came_back,
                on_cancelled=self.abandon,
            )
        from channels_layers_redis._layer.cluster import Cluster

        return Cluster(
            host,
            shared.outages,
            control=control,
            plain_groups=plain_groups,
            on_return=self._came_back,
            on_cancelled=self.abandon,
        )

    def _place(self, name: str) -> Place:
        """Return the shard of a group, a channel or a process."""
        shards = self._shards
        return shards[0] if len(shards) == 1 else shards[self._shared.place_of(name)]

    def _begin_to_listen(self, shard: Place) -> None:
        """Have a shard listen at the addresses of all processes."""
        if not shard.listens:
            shard.start(self._shared.addresses.control, self._hear_control(shard))
            if self._sweeper is None:
                self._sweeper = self.loop.call_later(_SWEEP, self._sweep)

    def _listen_soon(self, shard: Place) -> None:
        """Have a shard listen after some messages to groups, though nothing is received here.

        It then knows which groups have members that are no process's, instead of asking Redis for
        each message. An event loop that sends a message or two and ends does without.
        """
        self._unheard_sends += 1
        if self._unheard_sends > _UNHEARD_SENDS:
            self._begin_to_listen(shard)

    def be_reachable(self) -> None:
        """Begin to listen for messages to the channels of this link.

        Raises:
            redis.exceptions.ConnectionError: Redis is away.
        """
        shard = self._place(self.token)
        here = self._shared.addresses.process(self.token)
        if (error := shard.error_at(here)) is not None:
            raise error
        if self._opening is None:
            self._begin_to_listen(shard)
            self._opening = shard.listen(here, self._hear_process)

    async def until_reachable(self) -> None:
        """Wait until messages to the channels of this link arrive."""
        self.be_reachable()
        shard = self._place(self.token)
        if self._opening is not None and not self._opening.done():
            await asyncio.shield(self._opening)
        elif not shard.hears(self._shared.addresses.process(self.token)):
            await asyncio.shield(shard.come_up())

    async def run(self, call: Call[_T], name: str) -> _T:
        """Run a script on the server that has a group, a channel or a process."""
        return await self._place(name).run(call)

    async def ping(self) -> None:
        """Ask each server for an answer.

        Raises:
            redis.exceptions.RedisError: A server does not answer, or nothing is heard from it.
        """
        for shard in self._shards:
            await shard.ping()

    # Sending

    async def send(self, channel: str, body: bytes) -> None:
        """Send a message to a channel of a process.

        Raises:
            ChannelFull: The channel is one of this process, and it is full.
        """
        shared = self._shared
        token = token_of(channel)
        address = shared.addresses.process(token)
        shard = self._place(token)
        if shared.link_of(channel) is None:
            await shard.publish(address, b"m" + channel.encode() + b" " + body)
            return
        if not shared.mailboxes.reserve(channel):
            raise ChannelFull(full(channel, shared.limits.get_capacity(channel)))
        try:
            heard = await shard.publish(address, b"r" + channel.encode() + b" " + body)
        except (RedisError, OSError):
            shared.mailboxes.release(channel)
            raise
        if not heard:
            # The link has not subscribed yet.
            shared.mailboxes.put_reserved(channel, Body(shared.codec, body))

    async def append(self, channel: str, body: bytes) -> None:
        """Send a message to a channel that any process may read.

        Raises:
            ChannelFull: The channel is full.
        """
        shared = self._shared
        capacity = shared.limits.get_capacity(channel)
        expiry = shared.expiry_of(channel)
        call = waiting.append(shared.keys, channel, body, capacity=capacity, expiry=expiry)
        if not await self._place(channel).run(call):
            raise ChannelFull(full(channel, capacity))

    async def group_send(self, group: str, body: bytes, exclude: frozenset[str]) -> None:
        """Send a message to a group."""
        shared = self._shared
        shard = self._place(group)
        published = shard.publish(shared.addresses.group(group), group_message(body, exclude))
        if not shard.may_have_plain_members(group):
            await published
            # Another process may have added such a member before this call. What it has told
            # everyone comes before the answer from Redis, but on another connection.
            if not shard.may_have_plain_members(group):
                return
        elif not shard.listens:
            self._listen_soon(shard)
        names = await self.run(plain_members.find(shared.keys, group), group)
        await self._append_to_members(group, names, body, exclude)
        await published

    async def group_send_kept(
        self,
        group: str,
        message: Mapping[str, Any],
        body: bytes,
        exclude: frozenset[str],
        limits: HistoryLimits,
    ) -> None:
        """Send a message to a group with history.

        Args:
            group: The group.
            message: The message.
            body: The message, packed.
            exclude: The channels that get no copy.
            limits: How much is kept.
        """
        histories = self._shared.histories
        assert histories is not None  # it has found the limits
        sent = await self.run(histories.send(group, body, exclude, limits), group)
        if sent.plain_members:
            placed = histories.with_position(group, message, sent)
            await self._append_to_members(group, sent.plain_members, placed, exclude)

    async def _append_to_members(
        self, group: str, names: list[str], body: bytes, exclude: frozenset[str]
    ) -> None:
        """Send a message to those members of a group that are channels of no process."""
        sends = [self.append(name, body) for name in names if name not in exclude]
        results = await asyncio.gather(*sends, return_exceptions=True)
        full = sum(isinstance(result, ChannelFull) for result in results)
        if full:
            self._shared.dropped.add(f"Group {group!r} has channels", full)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, ChannelFull):
                raise result

    # History

    async def read(
        self, histories: Histories, group: str, after: object, limit: int | None
    ) -> Read:
        """Read a history; those who ask for the same at once share one answer.

        All clients of a room come back at the same moment, and mostly after the same message.
        """
        if not isinstance(after, str | None):
            after = ""  # a client may have sent anything
        asked = (group, after, limit)
        reading = self._reading.get(asked)
        if reading is None:
            call = histories.read(group, after, limit)
            # Not among `_tasks`: `close()` ends its connection, and not those who wait for it.
            reading = self.loop.create_task(self._read(histories, asked, call))
            self._reading[asked] = reading
        try:
            return await asyncio.shield(reading)
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise again(error) from None

    async def _read(self, histories: Histories, asked: Asked, call: Call[Kept]) -> Read:
        # Before the command is sent: it may miss what those who ask later have to get.
        del self._reading[asked]
        group = asked[0]
        return histories.place(group, await self.run(call, group))

    # Receiving

    async def receive_plain(self, channel: str) -> dict[str, Any]:
        """Wait for the next message of a channel that any process may read."""
        shared = self._shared
        if shared.queues is not None and shared.queues.limits(channel) is not None:
            return await self._receive_from_queue(channel)
        while True:
            reader: Reader[Taken] | None = self._readers.get(channel)
            if reader is None:
                reader = self._readers[channel] = self._new_reader(channel)
            taken = await reader.next()
            try:
                if taken.dead is None:
                    return shared.codec.unpack(taken.message)
                from channels_layers_redis._layer.dead_letters import with_reason

                return with_reason(shared.codec, channel, taken)
            except ValueError as error:
                shared.dropped.add_unreadable(error)

    async def _receive_from_queue(self, channel: str) -> dict[str, Any]:
        """Take a message and acknowledge it, so that nobody gets it again."""
        while True:
            delivery = await self.receive_delivery(channel)
            if await self.acknowledge(channel, delivery.token):
                return delivery.message

    # Queues

    async def receive_delivery(self, channel: str) -> Delivery:
        """Wait for the next message of a queue."""
        shared = self._shared
        queues = self._queues
        while True:
            reader: Reader[Given] | None = self._readers.get(channel)
            if reader is None:
                from channels_layers_redis._layer.queues import DeliveryReader

                shard = self._place(channel)
                self._begin_to_listen(shard)
                reader = self._readers[channel] = DeliveryReader(shard, queues, channel)
            given = await reader.next()
            try:
                return queues.read(channel, given)
            except ValueError as error:
                shared.dropped.add_unreadable(error)
                # It is given again to others, which may have the right key, and is never lost.
                await self.reject(channel, given.token, f"could not be read: {error}")

    async def acknowledge(self, channel: str, token: str) -> bool:
        """End an attempt that has succeeded; return whether it was still current."""
        return await self._end_attempt(channel, self._queues.acknowledge(channel, token))

    async def reject(self, channel: str, token: str, error: str) -> bool:
        """End an attempt that has failed; return whether it was still current."""
        return await self._end_attempt(channel, self._queues.reject(channel, token, error))

    async def give_back(self, channel: str, token: str) -> bool:
        """Put a message back; return whether its attempt was still current."""
        return await self._end_attempt(channel, self._queues.give_back(channel, token))

    async def _end_attempt(self, channel: str, call: Call[Ended]) -> bool:
        ended = await self.run(call, channel)
        self._queues.warn(channel, ended.dropped)
        return ended.current

    @property
    def _queues(self) -> Queues:
        queues = self._shared.queues
        assert queues is not None  # the layer has checked it
        return queues

    def _new_reader(self, channel: str) -> Reader[Taken]:
        shard = self._place(channel)
        self._begin_to_listen(shard)
        keys = self._shared.keys
        return Reader(
            shard,
            keys.channel(channel),
            lambda count: shard.run(waiting.pop(keys, channel, count=count)),
            lambda taken: shard.run(waiting.put_back(keys, channel, taken)),
        )

    def _hear_process(self, data: bytes) -> None:
        """Take what was published to this link."""
        kind, rest = data[:1], data[1:]
        shared = self._shared
        if kind in b"mr":
            name, _, body = rest.partition(b" ")
            channel = name.decode()
            if kind == b"r":
                shared.mailboxes.put_reserved(channel, Body(shared.codec, body))
            else:
                shared.mailboxes.put(channel, Body(shared.codec, body))
        elif kind == b"a":
            number, error = read_answer(rest)
            future = self._requests.get(number)
            if future is not None and not future.done():
                future.set_result(error)
        elif kind == b"q":
            try:
                request = Request.read(rest)
            except ValueError as error:
                shared.dropped.add_unreadable(error)
            else:
                self._start(self._do(request))
        else:
            shared.dropped.add_unreadable(ValueError(f"it is of the unknown kind {kind!r}"))

    def _hear_control(self, shard: Place) -> Callable[[bytes], None]:
        """Return what takes the messages to all processes on one server."""

        def hear(data: bytes) -> None:
            kind, rest = data[:1], data[1:]
            if kind == b"+":
                group, _, seconds = rest.decode().partition(" ")
                shard.plain_groups.add(group, float(seconds))
            elif kind == b"f":
                if shard is self._shards[0]:
                    self._drop_all()
                word = self._words.get(rest)
                if word is not None and not word.done():
                    word.set_result(None)

        return hear

    def _hear_group(self, group: Group) -> Callable[[bytes], None]:
        """Return what takes the messages to a group."""
        shared = self._shared
        put_all, codec = shared.mailboxes.put_all, shared.codec

        def hear(data: bytes) -> None:
            try:
                if data[:1] in b"jl":
                    self.watch_members(group.name)
                    notice = codec.pack(shared.members.notice(data))
                    put_all(group, Body(codec, notice), NOBODY, None)
                    return
                body, excluded, place = read_group_message(data)
            except ValueError as error:
                shared.dropped.add_unreadable(error)
                return
            if place is None:
                put_all(group, Body(codec, body), excluded, None)
                return
            position = f"{group.tag}.{place}"
            instead = None
            if excluded:
                # They must not take its number for that of a message which they have missed.
                instead = Body.of(codec, {"type": "group.position", "position": position})
            put_all(group, Body(codec, body, position), excluded, instead)

        return hear

    # Groups

    async def group_add(self, group: str, channel: str, member: Member | None = None) -> None:
        """Add a channel of this process to a group, or renew its membership."""
        await self._group_add(group, channel)
        if member is not None:
            await self._lease(group).join(group, channel, member)

    async def _group_add(self, group: str, channel: str) -> None:
        shared = self._shared
        self.be_reachable()
        local = self._groups.get(group)
        if local is None:
            local = Group(group)
            shard = self._place(group)
            self._begin_to_listen(shard)
            # Who joins and who leaves is told from the slot of all members.
            local.subscribing = shard.listen(
                shared.addresses.group(group), self._hear_group(local), from_any_slot=True
            )
            self._groups[group] = local
        with shared.mailboxes.lock:
            mailbox = shared.mailboxes.find(channel)
            local.add(mailbox, shared.mailboxes.clock() + shared.limits.group_expiry)
        if local.subscribing is not None:
            try:
                await asyncio.shield(local.subscribing)
            except BaseException:
                self._remove(local, mailbox)
                raise
            local.subscribing = None
        await self.until_reachable()

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel of this process from a group."""
        local = self._groups.get(group)
        mailbox = self._shared.mailboxes.by_name.get(channel)
        if local is not None and mailbox is not None:
            confirmed = self._remove(local, mailbox)
            await self._end_member(group, channel)
            await _confirmed(confirmed)

    # Members

    def _lease(self, group: str) -> Lease:
        """Return the lease for members of a group, which is made if there is none."""
        shard = self._place(group)
        lease = self._leases.get(shard)
        if lease is None:
            from channels_layers_redis._layer.members import Lease

            shared = self._shared
            lease = Lease(
                shared.members,
                self.token,
                shard.run,
                self._start,
                self._is_in_group,
                shared.limits.group_expiry,
            )
            self._leases[shard] = lease
        return lease

    def watch_members(self, group: str) -> None:
        """See to it that a group which is heard here is told of members that are gone."""
        if group in self._groups:
            self._lease(group).watch()

    def _is_in_group(self, group: str, channel: str) -> bool:
        """Return whether a channel is in a group; nobody tells if one of no process is not."""
        if "!" not in channel:
            return True
        local = self._groups.get(group)
        mailbox = self._shared.mailboxes.by_name.get(channel)
        if local is None or mailbox is None:
            return False
        return local.members.get(mailbox, 0.0) > time.monotonic()

    async def _end_member(self, group: str, channel: str) -> None:
        """Forget the member behind a channel, if there is one."""
        if self._leases:
            lease = self._leases.get(self._place(group))
            if lease is not None:
                await lease.leave(group, channel)

    def _remove(self, local: Group, mailbox: Mailbox) -> asyncio.Future[Any] | None:
        """Remove a member; return what is resolved once a group without members is left."""
        with self._shared.mailboxes.lock:
            local.remove(mailbox)
        return self._leave_if_empty(local)

    def _leave_if_empty(self, local: Group) -> asyncio.Future[Any] | None:
        if local.members or self._groups.get(local.name) is not local:
            return None
        del self._groups[local.name]
        return self._place(local.name).stop_listening(self._shared.addresses.group(local.name))

    async def forget(self, channel: str) -> None:
        """Drop a channel of this process, with its messages and memberships."""
        mailbox = self._shared.mailboxes.forget(channel)
        if mailbox is None:
            return
        groups = groups_of(mailbox)
        left = [self._remove(group, mailbox) for group in groups]
        for group in groups:
            await self._end_member(group.name, channel)
        for confirmed in left:
            await _confirmed(confirmed)

    async def add_plain_member(
        self, group: str, channel: str, member: Member | None = None
    ) -> None:
        """Add a channel that any process may read to a group."""
        shared = self._shared
        expiry = shared.limits.group_expiry
        shard = self._place(group)
        add = plain_members.add(shared.keys, group, channel, group_expiry=expiry)
        record = plain_members.record(shared.keys, group, group_expiry=expiry)
        added, recorded = self._start(shard.run(add)), self._start(shard.run(record))
        told = shard.publish(shared.addresses.control, f"+{group} {expiry}".encode())
        await asyncio.gather(added, recorded, told)
        shard.plain_groups.add(group, expiry)
        if member is not None:
            await self._lease(group).join(group, channel, member)

    async def remove_plain_member(self, group: str, channel: str) -> None:
        """Remove a channel that any process may read from a group."""
        await self.run(plain_members.discard(self._shared.keys, group, channel), group)
        await self._end_member(group, channel)

    # Requests

    async def ask(
        self, action: str, group: str, channel: str, member: Member | None = None
    ) -> None:
        """Have the process of a channel change its membership; nobody may be there.

        Raises:
            redis.exceptions.TimeoutError: It does not answer.
        """
        shared = self._shared
        token = token_of(channel)
        await self.until_reachable()
        number = os.urandom(8).hex()
        future: asyncio.Future[str] = self.loop.create_future()
        self._requests[number] = future
        try:
            here = shared.addresses.process(self.token)
            data = None if member is None else member.data
            request = Request(number, here, False, action, group, channel, data)
            heard = await self._place(token).publish(
                shared.addresses.process(token), request.pack()
            )
            if not heard:
                return
            timeout = shared.hosts[0].timeout
            try:
                async with asyncio.timeout(timeout):
                    error = await future
            except TimeoutError:
                raise RedisTimeoutError(
                    f"The process of channel {channel!r} did not answer within {timeout} s"
                ) from None
            if error:
                raise RedisTimeoutError(f"The process of channel {channel!r} failed: {error}")
        finally:
            del self._requests[number]

    async def _do(self, request: Request) -> None:
        """Do what another process asks for, and answer."""
        error = ""
        try:
            if request.action == "add":
                data = request.member
                member = None if data is None else self._shared.members.unpack(data)
                await self.group_add(request.group, request.channel, member)
            else:
                await self.group_discard(request.group, request.channel)
        except (RedisError, OSError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        reply = answer(request.number, error)
        if request.in_list:
            shard = self._place(request.number)
            appended = shard.post("RPUSH", request.reply_to, reply)
            shard.post("EXPIRE", request.reply_to, _ANSWER_KEPT)
            await _confirmed(appended)
        else:
            # The address is that of a process.
            token = request.reply_to.rpartition("{")[2].rstrip("}")
            await _confirmed(self._place(token).publish(request.reply_to, reply))

    async def for_link(self, other: LocalLink, work: Coroutine[Any, Any, None]) -> None:
        """Have another link of this process do something in its event loop."""
        done = asyncio.run_coroutine_threadsafe(work, other.loop)
        timeout = self._shared.hosts[0].timeout
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wrap_future(done)
        except TimeoutError:
            raise RedisTimeoutError(
                f"The event loop of the channel did not answer within {timeout} s"
            ) from None

    # Dropping

    async def flush(self) -> None:
        """Delete all keys of the layer, and drop what this and all other processes hold."""
        addresses = self._shared.addresses
        for shard in self._shards:
            await shard.delete_all(addresses.everything)
            word = os.urandom(8)
            heard: asyncio.Future[None] = self.loop.create_future()
            self._words[word] = heard
            try:
                await shard.publish(addresses.control, b"f" + word)
                if shard.hears(addresses.control):
                    async with asyncio.timeout(self._shared.hosts[0].timeout):
                        await heard
            finally:
                del self._words[word]
        self._drop_all()

    def _drop_all(self) -> None:
        """Drop the messages and memberships of all channels of this link."""
        shared = self._shared
        token = self.token
        shared.mailboxes.empty(lambda name: token_of(name) == token)
        for local in list(self._groups.values()):
            with shared.mailboxes.lock:
                for mailbox in list(local.members):
                    local.remove(mailbox)
            self._leave_if_empty(local)
        for shard in self._shards:
            shard.plain_groups.clear()
        for lease in self._leases.values():
            lease.clear()

    def _came_back(self, addresses: Collection[bytes]) -> None:
        """Tell those who may have missed messages to addresses that were not heard for a while."""
        shared, token = self._shared, self.token
        everything = shared.addresses.process(token).encode() in addresses
        at = shared.addresses.group
        missed = {name for name in self._groups if at(name).encode() in addresses}
        shared.mailboxes.tell_missed(
            lambda one: (
                token_of(one.name) == token
                and (everything or any(group.name in missed for group in groups_of(one)))
            )
        )
        for channel, reader in self._readers.items():
            if shared.keys.channel(channel).encode() in addresses:
                reader.announced()

    def _sweep(self) -> None:
        """Drop what is no longer used."""
        shared = self._shared
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)
        shared.mailboxes.sweep()
        now = shared.mailboxes.clock()
        for local in list(self._groups.values()):
            with shared.mailboxes.lock:
                for mailbox in [one for one, until in local.members.items() if until <= now]:
                    local.remove(mailbox)
            self._leave_if_empty(local)
        for channel, reader in list(self._readers.items()):
            if reader.sweep():
                del self._readers[channel]

    # The end

    async def close(self) -> None:
        """Put back what nobody waits for, and close the connections."""
        if self._ended:
            return
        for reader in self._readers.values():
            await reader.close()
        for lease in self._leases.values():
            await lease.close()
        self.abandon()
        for task in list(self._tasks):
            task.cancel()
        for shard in self._shards:
            await shard.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def abandon(self) -> None:
        """Forget the link: its event loop ends."""
        if self._ended:
            return
        self._ended = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        shared, token = self._shared, self.token
        shared.links.pop(token, None)
        shared.mailboxes.remove(lambda name: token_of(name) == token)
        for shard in self._shards:
            shared.outages.forget(shard)
        self._on_end(self)

    def _start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _confirmed(answer: asyncio.Future[Any] | None) -> None:
    """Wait for a confirmation; without a connection there is nothing left to confirm."""
    if answer is not None:
        with suppress(RedisError, OSError):
            await asyncio.shield(answer)


def full(channel: str, capacity: int) -> str:
    """Return the text of a `ChannelFull`."""
    return (
        f"Channel {channel!r} is at its capacity of {capacity} messages: they are sent faster than "
        "they are received, if at all"
    )
