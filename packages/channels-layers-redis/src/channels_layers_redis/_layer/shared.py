"""What all event loops and threads of a layer share."""

from __future__ import annotations

import threading
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from channels_core.layer_extensions import DEAD_SUFFIX
from channels_layers_redis._layer.addresses import Addresses, token_of
from channels_layers_redis._layer.dropped_messages import DroppedMessages
from channels_layers_redis._layer.mailboxes import Mailboxes
from channels_layers_redis._layer.outages import Outages
from channels_layers_redis._scripts.keys import Keys

if TYPE_CHECKING:
    import asyncio
    from typing import Protocol

    from channels_layers_redis._layer.cluster_host import ClusterHost
    from channels_layers_redis._layer.codec import Codec
    from channels_layers_redis._layer.history import Histories
    from channels_layers_redis._layer.hosts import Host
    from channels_layers_redis._layer.mailboxes import Limits
    from channels_layers_redis._layer.members import Member, Members
    from channels_layers_redis._layer.queues import Queues

    class LocalLink(Protocol):
        """What others need of the link of an event loop; only that loop may run its methods."""

        loop: asyncio.AbstractEventLoop

        async def group_add(self, group: str, channel: str, member: Member | None = None) -> None:
            """Add a channel of the link to a group, or renew its membership."""

        async def group_discard(self, group: str, channel: str) -> None:
            """Remove a channel of the link from a group."""

        async def forget(self, channel: str) -> None:
            """Drop a channel of the link."""

        def abandon(self) -> None:
            """Forget the link, whose event loop has ended; any thread may call it."""


__all__ = ["Extensions", "Shared"]


class Extensions(NamedTuple):
    """The options of history, queues and members.

    Attributes:
        history: The option of that name.
        queues: The option of that name.
        member_lease: Seconds after which the members of a process that was killed are gone.
        member_linger: Seconds for which a member without a connection stays.
        member_secret: Makes digests of the ids of members; may be empty.
    """

    history: object
    queues: object
    member_lease: float
    member_linger: float
    member_secret: bytes


class Shared:
    """The parts of one layer that belong to no event loop.

    Attributes:
        hosts: The servers, or one cluster. What belongs to a group, a channel or a process is on
            one of them.
        limits: The limits of the layer.
        codec: Packs and unpacks messages.
        addresses: Where processes listen.
        keys: The keys of the scripts.
        mailboxes: What has arrived for the channels of this process.
        dropped: Counts what was dropped.
        outages: Tells of lost connections.
        links: The links of this process, by the token in the names of their channels.
        histories: The groups whose messages are kept; None if there are none.
        queues: The channels whose messages have to be acknowledged; None if there are none.
    """

    def __init__(
        self,
        hosts: list[Host] | list[ClusterHost],
        limits: Limits,
        codec: Codec,
        prefix: str,
        options: Extensions,
        *,
        in_cluster: bool,
    ) -> None:
        """Start with no link.

        Raises:
            TypeError: A part of the options is of a wrong type.
            ValueError: A limit in the options is not valid.
        """
        self.hosts = hosts
        self.limits = limits
        self.codec = codec
        self.addresses = Addresses(prefix)
        self.keys = Keys(prefix, in_cluster=in_cluster)
        self.dropped = DroppedMessages()
        self.mailboxes = Mailboxes(limits, self.dropped)
        self.outages = Outages()
        self.links: dict[str, LocalLink] = {}
        self.lock = threading.Lock()
        self._options = options
        self.histories: Histories | None = None
        self.queues: Queues | None = None
        # Only what is used is loaded.
        if options.history is not None:
            self.histories = self.histories_of(options.history)
        if options.queues is not None:
            from channels_layers_redis._layer.queues import Queues

            self.queues = Queues(options.queues, keys=self.keys, codec=codec, dropped=self.dropped)

    def start_anew(self) -> None:
        """Forget everything, in a forked process: its connections are those of its parent."""
        self.links = {}
        self.lock = threading.Lock()
        self.dropped.start_anew()
        self.mailboxes.start_anew()
        self.outages.start_anew()

    def link_of(self, channel: str) -> LocalLink | None:
        """Return the link of this process that has made a channel, if its event loop is open."""
        link = self.links.get(token_of(channel))
        if link is not None and link.loop.is_closed():
            link.abandon()
            return None
        return link

    def place_of(self, name: str) -> int:
        """Return which server has what belongs to a group, a channel or a process."""
        count = len(self.hosts)
        if count == 1:
            return 0
        while name.endswith(DEAD_SUFFIX):  # dead letters are where their queue is
            name = name.removesuffix(DEAD_SUFFIX)
        return zlib.crc32(name.encode()) % count

    @cached_property
    def members(self) -> Members:
        """The members of groups, whose module is loaded when a program first has some."""
        from channels_layers_redis._layer.members import Members

        return Members(
            keys=self.keys,
            addresses=self.addresses,
            codec=self.codec,
            dropped=self.dropped,
            lease=self._options.member_lease,
            linger=self._options.member_linger,
            secret=self._options.member_secret,
        )

    def histories_of(self, option: object) -> Histories:
        """Return the histories that an option `history` gives."""
        from channels_layers_redis._layer.history import Histories

        return Histories(
            option,
            keys=self.keys,
            addresses=self.addresses,
            codec=self.codec,
            dropped=self.dropped,
        )

    def expiry_of(self, channel: str) -> float | None:
        """Return after how many seconds the messages expire that wait in Redis; None for never."""
        if self.queues is not None and self.queues.keeps(channel):
            return None
        return self.limits.expiry
