"""What all event loops and threads of a layer share."""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING

from channels_layers_redis._layer.addresses import Addresses, token_of
from channels_layers_redis._layer.dropped_messages import DroppedMessages
from channels_layers_redis._layer.mailboxes import Mailboxes
from channels_layers_redis._layer.outages import Outages
from channels_layers_redis._scripts.keys import Keys

if TYPE_CHECKING:
    import asyncio
    from typing import Protocol

    from channels_layers_redis._layer.codec import Codec
    from channels_layers_redis._layer.hosts import Host
    from channels_layers_redis._layer.mailboxes import Limits

    class LocalLink(Protocol):
        """What others need of the link of an event loop; only that loop may run its methods."""

        loop: asyncio.AbstractEventLoop

        async def group_add(self, group: str, channel: str) -> None:
            """Add a channel of the link to a group, or renew its membership."""

        async def group_discard(self, group: str, channel: str) -> None:
            """Remove a channel of the link from a group."""

        async def forget(self, channel: str) -> None:
            """Drop a channel of the link."""

        def abandon(self) -> None:
            """Forget the link, whose event loop has ended; any thread may call it."""


__all__ = ["Shared"]


class Shared:
    """The parts of one layer that belong to no event loop.

    Attributes:
        hosts: The servers. What belongs to a group, a channel or a process is on one of them.
        limits: The limits of the layer.
        codec: Packs and unpacks messages.
        addresses: Where processes listen.
        keys: The keys of the scripts.
        mailboxes: What has arrived for the channels of this process.
        dropped: Counts what was dropped.
        outages: Tells of lost connections.
        links: The links of this process, by the token in the names of their channels.
    """

    def __init__(self, hosts: list[Host], limits: Limits, codec: Codec, prefix: str) -> None:
        """Start with no link."""
        self.hosts = hosts
        self.limits = limits
        self.codec = codec
        self.addresses = Addresses(prefix)
        self.keys = Keys(prefix)
        self.dropped = DroppedMessages()
        self.mailboxes = Mailboxes(limits, self.dropped)
        self.outages = Outages()
        self.links: dict[str, LocalLink] = {}
        self.lock = threading.Lock()

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
        return 0 if count == 1 else zlib.crc32(name.encode()) % count
