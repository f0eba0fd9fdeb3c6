"""The channel layer that connects several processes through Redis or Valkey."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from django.core.exceptions import SynchronousOnlyOperation
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from channels_core.forks import start_anew_in_children
from channels_core.layers import BaseChannelLayer, Capacities
from channels_core.typing import AnyMessage, Message
from channels_layers_redis._layer.codec import SERIALIZERS, Codec
from channels_layers_redis._layer.hosts import read_hosts
from channels_layers_redis._layer.link import Link
from channels_layers_redis._layer.mailboxes import OVERFLOW
from channels_layers_redis._layer.options import (
    checked_capacities,
    checked_keys,
    require_boolean,
    require_count,
    require_one_of,
    require_prefix,
    require_seconds,
)
from channels_layers_redis._layer.shared import Extensions, Shared

if TYPE_CHECKING:
    from channels_core.layer_extensions import Delivery, History, HistoryLimits, QueueLimits
    from channels_layers_redis._layer.blocking import Blocking
    from channels_layers_redis._layer.cluster_host import ClusterHost
    from channels_layers_redis._layer.history import Histories
    from channels_layers_redis._layer.hosts import Host

__all__ = ["RedisChannelLayer"]

# How many checked channel names a layer remembers.
_REMEMBERED: Final = 10_000

_NOBODY: Final[frozenset[str]] = frozenset()

# In a forked process: the links of its parents.
_of_parents: Final[list[Link]] = []


def _open_to_overrides(
    method: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Let a subclass override a method without its last argument, for type checkers.

    Programs have such subclasses of the layers of channels-redis. Nothing changes when the program
    runs.
    """
    return method


class RedisChannelLayer(BaseChannelLayer):
    """A channel layer for several processes, on Redis or Valkey: on servers, or a cluster.

    Messages: dicts with str keys and values that msgpack packs. Each receiver gets a copy of its
    own.

    Source: the channel layer specification of Channels, with the extensions `groups` and `flush`.
    """

    extensions: ClassVar[list[str]] = [
        "groups",
        "flush",
        "exclude",
        "gaps",
        "history",
        "members",
        "acks",
    ]
    reaches_other_processes: ClassVar[bool | None] = True
    outage_errors: ClassVar[tuple[type[BaseException], ...]] = (
        RedisConnectionError,
        RedisTimeoutError,
    )

    def __init__(
        self,
        hosts: Iterable[Any] | None = None,
        prefix: str = "asgi",
        expiry: int = 60,
        group_expiry: int = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        symmetric_encryption_keys: Iterable[str | bytes] | None = None,
        random_prefix_length: int = 12,
        serializer_format: str = "msgpack",
        *,
        cluster: bool = False,
        overflow: str = "drop newest",
        history: object = None,
        queues: object = None,
        member_lease: float = 20,
        member_linger: float = 5,
        **kwargs: object,
    ) -> None:
        """Take the options, as `CONFIG` in the settings gives them.

        Args:
            hosts: A list of servers: URLs, pairs of host and port, or dicts with `address` or
                `sentinels` and more options of redis-py. With several servers, each group and
                channel is on one of them.
            prefix: What the names of all keys in Redis begin with.
            expiry: Seconds after which an undelivered message is dropped.
            group_expiry: Seconds after which a membership ends that was not renewed.
            capacity: Messages that a channel holds before it is full.
            channel_capacity: Capacities of the channels whose name matches a glob or a compiled
                pattern; the first match counts.
            symmetric_encryption_keys: Secrets to encrypt messages with: the first one encrypts,
                and each may decrypt. Needs the extra `cryptography`.
            random_prefix_length: Accepted, and not needed.
            serializer_format: `"msgpack"` or `"json"`.
            cluster: Whether `hosts` are nodes of one Redis Cluster; the others are asked from them.
            overflow: What happens with a message for a consumer that is full: `"drop newest"`,
                `"drop oldest"`, or `"close"` to end its connection.
            history: How much is kept of the messages to groups, by pattern:
                `{"room.*": {"size": 200, "age": 600}}`, with the age in seconds.
            queues: The channels whose messages have to be acknowledged, by pattern:
                `{"thumbnails": {"redeliver_after": 60, "tries": 3}}`, which are the defaults.
            member_lease: Seconds after which the members of a process that was killed are gone.
            member_linger: Seconds for which a member stays whose last connection has ended.
            kwargs: Rejected; the TypeError names each unknown option.

        Raises:
            TypeError: An option is unknown, or of a wrong type.
            ValueError: `serializer_format` or `overflow` is unknown, a limit is not positive,
                `prefix` has a space, a secret is empty, or a host cannot be used.
        """
        if kwargs:
            raise TypeError(
                f"{type(self).__name__} has no option {', '.join(map(repr, kwargs))}; expected "
                "hosts, prefix, expiry, group_expiry, capacity, channel_capacity, "
                "symmetric_encryption_keys, serializer_format, cluster, overflow, history, "
                "queues, member_lease or member_linger"
            )
        require_one_of("serializer_format", serializer_format, SERIALIZERS)
        require_one_of("overflow", overflow, OVERFLOW)
        require_prefix(prefix)
        require_seconds("expiry", expiry)
        require_seconds("group_expiry", group_expiry)
        require_count("capacity", capacity)
        require_boolean("cluster", cluster)
        require_seconds("member_lease", member_lease, least=1)
        require_seconds("member_linger", member_linger, least=0)
        capacities = checked_capacities(channel_capacity)
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=capacities)
        self.group_expiry = group_expiry
        self.prefix = prefix
        self.overflow = overflow
        keys = checked_keys(symmetric_encryption_keys)
        self._codec = Codec(serializer_format, keys)
        self._hosts: list[Host] | list[ClusterHost] = read_hosts(hosts)
        self._in_cluster = cluster
        if cluster:
            from channels_layers_redis._layer.cluster_host import ClusterHost

            self._hosts = [ClusterHost(self._hosts)]
        self._options = Extensions(
            history=history,
            queues=queues,
            member_lease=member_lease,
            member_linger=member_linger,
            member_secret=_secret(keys),
        )
        self._start()

    def _start(self) -> None:
        """Begin without a connection."""
        self._shared = Shared(
            self._hosts,
            self,
            self._codec,
            self.prefix,
            self._options,
            in_cluster=self._in_cluster,
        )
        # Channel names that have been checked and found valid.
        self._checked: set[str] = set()
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._blocking_client: Blocking | None = None
        start_anew_in_children(self, type(self)._start_anew)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a layer with the same options: Django copies the class data of tests."""
        layer = copy(self)
        layer._start()
        return layer

    def _start_anew(self) -> None:
        """Leave the connections alone, which are those of the parent of this process."""
        # Thrown away, they would be taken out of the selector, which both processes share.
        _of_parents.extend(self._links.values())
        self._links = {}
        self._shared.start_anew()

    # Links

    def _link(self) -> Link:
        """Return the link of the event loop that runs."""
        link = self._links.get(asyncio.get_running_loop())
        return self._new_link() if link is None else link

    def _new_link(self) -> Link:
        for loop, old in list(self._links.items()):
            if loop.is_closed():
                old.abandon()
        link = Link(self._shared, self._drop_link)
        self._links[link.loop] = link
        return link

    def _drop_link(self, link: Link) -> None:
        if self._links.get(link.loop) is link:
            del self._links[link.loop]

    def _check_channel(self, channel: str) -> None:
        """Check a channel name, and remember it if it is valid, since checking takes long."""
        if type(channel) is not str or channel not in self._checked:
            self.require_valid_channel_name(channel)
            if self.queue_limits(channel) is not None:
                from channels_core.layer_extensions import require_queue_name

                require_queue_name(channel, self.MAX_NAME_LENGTH)
            if len(self._checked) >= _REMEMBERED:
                self._checked.clear()
            self._checked.add(channel)

    @property
    def dropped(self) -> int:
        """How many messages this process has dropped since a channel was full."""
        return self._shared.dropped.total

    @property
    def unreadable(self) -> int:
        """How many messages this process has skipped since it could not read them."""
        return self._shared.dropped.unreadable

    # Channels

    async def send(self, channel: str, message: AnyMessage) -> None:
        """Send a message to a channel.

        Raises:
            ChannelFull: The channel holds as many messages as its capacity allows. A channel of a
                consumer in another process drops the message instead.
            TypeError: The name is not valid, or the message cannot be packed.
        """
        self._check_channel(channel)
        body = self._codec.pack(message)
        if "!" in channel:
            await self._link().send(channel, body)
        else:
            await self._link().append(channel, body)

    async def receive(self, channel: str) -> dict[str, Any]:
        """Wait for the next message of a channel.

        Raises:
            MessagesMissed: Messages may have been lost, since Redis was away; the next call goes
                on.
            ValueError: The channel is one of another process.
        """
        self._check_channel(channel)
        if "!" not in channel:
            return await self._link().receive_plain(channel)
        self._require_own(channel)
        return await self._shared.mailboxes.receive(channel)

    def listen(
        self, channel: str, wake: Callable[[], object]
    ) -> Callable[[], dict[str, Any] | None]:
        """Read a channel without a task that waits, in the event loop that runs.

        Args:
            channel: The name of a channel that `new_channel` has made in this process.
            wake: Called in this event loop when a message arrives after the returned function
                has found none, or has not been called yet.

        Returns:
            A function that takes the next message, or returns None if none waits now. Once woken,
            call it until it returns None. It raises `MessagesMissed` once if messages may have
            been lost.

        Raises:
            TypeError: The name is not valid.
            ValueError: The channel is not one of this process.
        """
        self._check_channel(channel)
        self._require_own(channel)
        return self._shared.mailboxes.listen(channel, wake).take

    def _require_own(self, channel: str) -> None:
        if self._shared.link_of(channel) is None:
            raise ValueError(
                f"Only the process that made channel {channel!r} can receive from it, while the "
                "event loop in which it was made runs; new_channel() makes one here"
            )

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a new process-specific channel name that nobody can guess.

        Args:
            prefix: What the name starts with.

        Raises:
            redis.exceptions.ConnectionError: Redis is away.
        """
        link = self._link()
        link.be_reachable()
        name = f"{prefix}{link.token}!{os.urandom(12).hex()}"
        self._checked.add(name)
        return name

    # A consumer whose request may never use the layer calls it when it first uses the name.
    vars(new_channel)["never_waits"] = True

    async def forget_channel(self, channel: str) -> None:
        """Drop the messages, the listener and the memberships of a channel without a user."""
        self._checked.discard(channel)
        link = self._link()
        owner = self._shared.link_of(channel)
        if owner is link:
            await link.forget(channel)
        elif owner is not None:
            await link.for_link(owner, owner.forget(channel))

    def copy_message(self, message: Message) -> dict[str, Any]:
        """Return the copy of a message that a receiver would get.

        Raises:
            TypeError: The message cannot be packed.
        """
        codec = self._codec
        return codec.unpack(codec.pack(message))

    # Groups

    @_open_to_overrides
    async def group_add(
        self, group: str, channel: str, member: Mapping[str, Any] | None = None
    ) -> None:
        """Add a channel to a group, or renew its membership.

        Args:
            group: The group.
            channel: The channel.
            member: The data of the member behind the channel, with its `id`; None keeps what was
                told before.
        """
        self.require_valid_group_name(group)
        self._check_channel(channel)
        packed = None if member is None else self._shared.members.pack(member)
        link = self._link()
        if "!" not in channel:
            await link.add_plain_member(group, channel, packed)
            return
        owner = self._shared.link_of(channel)
        if owner is link:
            await link.group_add(group, channel, packed)
        elif owner is not None:
            await link.for_link(owner, owner.group_add(group, channel, packed))
        else:
            await link.ask("add", group, channel, packed)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group; does nothing if it is not a member."""
        self.require_valid_group_name(group)
        self._check_channel(channel)
        link = self._link()
        if "!" not in channel:
            await link.remove_plain_member(group, channel)
            return
        owner = self._shared.link_of(channel)
        if owner is link:
            await link.group_discard(group, channel)
        elif owner is not None:
            await link.for_link(owner, owner.group_discard(group, channel))
        else:
            await link.ask("discard", group, channel)

    @_open_to_overrides
    async def group_send(
        self, group: str, message: AnyMessage, exclude: Collection[str] = ()
    ) -> None:
        """Send a message to every channel of a group that has room for it.

        Args:
            group: The group.
            message: The message.
            exclude: The channels that get no copy.
        """
        self.require_valid_group_name(group)
        shared = self._shared
        body = self._codec.pack(message)
        excluded = _excluded(exclude)
        if shared.histories is not None:
            limits = shared.histories.limits(group)
            if limits is not None:
                shared.histories.require_no_position(message)
                await self._link().group_send_kept(group, message, body, excluded, limits)
                return
        await self._link().group_send(group, body, excluded)

    # History

    def history_limits(self, group: str) -> HistoryLimits | None:
        """Return how much is kept of a group's messages; None for nothing."""
        histories = self._shared.histories
        return None if histories is None else histories.limits(group)

    async def group_history(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        """Return the messages of a group that are kept, in order of sending.

        Args:
            group: The group.
            after: The position after which the messages are wanted; None for the newest ones.
            limit: The most messages to return: the oldest ones after a position, or else the
                newest ones. None for all.

        Raises:
            ValueError: The group has no history, or the limit is negative.
        """
        self.require_valid_group_name(group)
        histories = self._histories
        return histories.answer(await self._link().read(histories, group, after, limit))

    @property
    def _histories(self) -> Histories:
        """The histories of groups; of none without the option."""
        return self._shared.histories or self._shared.histories_of(None)

    # Members

    async def group_members(self, group: str) -> list[dict[str, Any]]:
        """Return who is in a group, in order of first joining.

        Returns:
            For each id the data that were told last, with the number of its `connections`.
        """
        self.require_valid_group_name(group)
        members = self._shared.members
        link = self._link()
        people = await link.run(members.people(group), group)
        if people:
            link.watch_members(group)
        return members.listed(people)

    # Queues

    def queue_limits(self, channel: str) -> QueueLimits | None:
        """Return how the messages of a channel are given again; None if they are not."""
        queues = self._shared.queues
        return None if queues is None else queues.limits(channel)

    async def receive_delivery(self, channel: str) -> Delivery:
        """Wait for the next message of a queue, which has to be acknowledged.

        Raises:
            ValueError: The channel is no queue.
        """
        self._require_queue(channel)
        return await self._link().receive_delivery(channel)

    async def acknowledge(self, channel: str, token: str) -> bool:
        """Forget a message that was handled; return whether its attempt was still current.

        Raises:
            ValueError: The channel is no queue.
        """
        self._require_queue(channel)
        return await self._link().acknowledge(channel, token)

    async def reject(self, channel: str, token: str, error: str) -> bool:
        """Let a message be given again in its time, or make it a dead letter after its last try.

        Args:
            channel: The queue.
            token: Names the attempt.
            error: What has failed, for the dead letter.

        Returns:
            Whether the attempt was still current.

        Raises:
            ValueError: The channel is no queue.
        """
        self._require_queue(channel)
        return await self._link().reject(channel, token, error)

    async def give_back(self, channel: str, token: str) -> bool:
        """Put a message back as the next one, as if it had not been given.

        Returns:
            Whether the attempt was still current.

        Raises:
            ValueError: The channel is no queue.
        """
        self._require_queue(channel)
        return await self._link().give_back(channel, token)

    def _require_queue(self, channel: str) -> None:
        self._check_channel(channel)
        if self._shared.queues is None:
            raise ValueError(
                f"Channel {channel!r} of {type(self).__name__} is no queue: the layer has no "
                "option 'queues'"
            )
        self._shared.queues.require_limits(channel)

    # From synchronous code

    @property
    def _blocking(self) -> Blocking:
        """The client for synchronous code, made with its first use."""
        if self._blocking_client is None:
            from channels_layers_redis._layer.blocking import Blocking

            self._blocking_client = Blocking(self._shared)
        return self._blocking_client

    def send_sync(self, channel: str, message: Message) -> None:
        """Send a message to a channel from synchronous code; see `send`."""
        _require_no_loop("send")
        self._check_channel(channel)
        self._blocking.send(channel, self._codec.pack(message))

    def group_add_sync(
        self, group: str, channel: str, member: Mapping[str, Any] | None = None
    ) -> None:
        """Add a channel to a group from synchronous code; see `group_add`.

        Raises:
            ValueError: There is a member, and the channel is not one of a consumer.
        """
        _require_no_loop("group_add")
        self.require_valid_group_name(group)
        self._check_channel(channel)
        packed = None if member is None else self._shared.members.pack(member)
        self._blocking.change_membership("add", group, channel, packed)

    def group_discard_sync(self, group: str, channel: str) -> None:
        """Remove a channel from a group from synchronous code; see `group_discard`."""
        _require_no_loop("group_discard")
        self.require_valid_group_name(group)
        self._check_channel(channel)
        self._blocking.change_membership("discard", group, channel)

    def group_send_sync(self, group: str, message: Message, exclude: Collection[str] = ()) -> None:
        """Send a message to a group from synchronous code; see `group_send`."""
        _require_no_loop("group_send")
        self.require_valid_group_name(group)
        shared = self._shared
        body = self._codec.pack(message)
        excluded = _excluded(exclude)
        if shared.histories is not None:
            limits = shared.histories.limits(group)
            if limits is not None:
                shared.histories.require_no_position(message)
                self._blocking.group_send_kept(group, message, body, excluded, limits)
                return
        self._blocking.group_send(group, body, excluded)

    def group_history_sync(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        """Return the messages of a group from synchronous code; see `group_history`."""
        _require_no_loop("group_history")
        self.require_valid_group_name(group)
        histories = self._histories
        kept = self._blocking.run(histories.read(group, after, limit), group)
        return histories.answer(histories.place(group, kept))

    def group_members_sync(self, group: str) -> list[dict[str, Any]]:
        """Return who is in a group from synchronous code; see `group_members`."""
        _require_no_loop("group_members")
        self.require_valid_group_name(group)
        members = self._shared.members
        people = self._blocking.run(members.people(group), group)
        return members.listed(people)

    def ping_sync(self) -> None:
        """Ask Redis for an answer from synchronous code; see `ping`."""
        _require_no_loop("ping")
        self._blocking.ping()

    # As a whole

    async def flush(self) -> None:
        """Drop all messages and groups of all processes; readers go on waiting."""
        await self._link().flush()

    async def close(self) -> None:
        """Close all connections; the layer may be used again."""
        if self._blocking_client is not None:
            self._blocking_client.close()
        here = asyncio.get_running_loop()
        for loop, link in list(self._links.items()):
            if loop is here:
                await link.close()
            elif loop.is_running():
                await asyncio.wait(
                    [asyncio.wrap_future(asyncio.run_coroutine_threadsafe(link.close(), loop))],
                    timeout=self._shared.hosts[0].timeout,
                )
            else:
                link.abandon()

    async def ping(self) -> None:
        """Ask Redis for an answer, for example in a readiness probe.

        Raises:
            redis.exceptions.RedisError: Redis cannot be reached, or does not answer in time.
        """
        await self._link().ping()


def _secret(keys: tuple[str | bytes, ...] | None) -> bytes:
    """Return what makes the ids of members unreadable: the key that stays longest."""
    if keys is None:
        return b""
    last = keys[-1]
    return last.encode() if isinstance(last, str) else last


def _excluded(exclude: Collection[str]) -> frozenset[str]:
    if not exclude and type(exclude) is not str:
        return _NOBODY
    from channels_core.layer_extensions import checked_exclude  # by who uses it only

    return checked_exclude(exclude)


def _require_no_loop(name: str) -> None:
    if asyncio._get_running_loop() is not None:
        raise SynchronousOnlyOperation(
            f"{name}_sync() would block the event loop of this thread; await {name}() instead"
        )
