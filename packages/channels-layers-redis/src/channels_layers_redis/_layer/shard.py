"""The two connections of one event loop to one server: one for commands, one that listens.

The first is made with the first command. The second is made once something is to be heard, and
from then on it is kept: when it was lost, it is made again, all addresses are subscribed to again,
and then the link is told that messages may have been missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, TypeVar

from redis.exceptions import NoScriptError, RedisError

from channels_layers_redis._layer.known_scripts import KnownScripts
from channels_layers_redis._layer.plain_groups import SKEW, PlainGroups
from channels_layers_redis._layer.wire import Wire, again

if TYPE_CHECKING:
    from channels_layers_redis._layer.hosts import Host
    from channels_layers_redis._layer.outages import Outages
    from channels_layers_redis._scripts.calls import Call

__all__ = ["Shard"]

#: How many addresses are subscribed to by one command after an outage.
_BATCH: Final = 500
#: Seconds of silence after which the listening connection is tried.
_QUIET: Final = 10.0

_T = TypeVar("_T")

if TYPE_CHECKING:
    from typing import Protocol, TypeAlias

    #: Takes the content of a message.
    Handler: TypeAlias = Callable[[bytes], object]

    class Place(Protocol):
        """A `Shard`, or a `Cluster`.

        Attributes:
            plain_groups: The groups that may have members which are no process's.
        """

        plain_groups: PlainGroups

        @property
        def listens(self) -> bool:
            """Whether it keeps listening."""

        def hears(self, address: str) -> bool:
            """Return whether messages to an address arrive."""

        def error_at(self, address: str) -> Exception | None:
            """Return why an address is not heard for now; None if that is not known."""

        def post(self, *command: Any) -> asyncio.Future[Any]:
            """Send a command whose first argument is a key."""

        async def run(self, call: Call[_T]) -> _T:
            """Run a script."""

        def publish(self, address: str, message: bytes) -> asyncio.Future[Any]:
            """Publish a message; return what will be how many have heard it."""

        async def ping(self) -> None:
            """Ask each server for an answer, and wait until all addresses are heard."""

        async def delete_all(self, pattern: str) -> None:
            """Delete the keys that match a pattern."""

        def start(self, address: str, handler: Handler) -> None:
            """Begin to listen, at one address first."""

        def listen(
            self, address: str, handler: Handler, *, from_any_slot: bool = False
        ) -> asyncio.Future[Any]:
            """Subscribe to an address; return what is resolved when that is done."""

        def stop_listening(self, address: str) -> asyncio.Future[Any] | None:
            """Unsubscribe from an address; return what is resolved when that is done."""

        def come_up(self) -> asyncio.Future[None]:
            """Return what is resolved when all addresses are heard."""

        def may_have_plain_members(self, group: str) -> bool:
            """Return whether a group may have members that are no process's."""

        async def close(self) -> None:
            """Close the connections."""


class Shard:
    """One server, as one event loop sees it.

    Attributes:
        is_up: Whether all addresses are subscribed to.
        plain_groups: The groups that may have members which are no process's; complete while
            `is_up`.
    """

    def __init__(
        self,
        host: Host,
        outages: Outages,
        *,
        control: str,
        plain_groups: str,
        on_return: Callable[[Collection[bytes]], object],
        on_cancelled: Callable[[], object],
    ) -> None:
        """Belong to the event loop that runs.

        Args:
            host: The server.
            outages: Told when the listening connection is lost.
            control: The address at which all processes listen.
            plain_groups: The key of the groups with members that are no process's.
            on_return: Called with all addresses when they are heard again after an outage.
            on_cancelled: Called when the event loop ends while a connection is open.
        """
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._host = host
        self._outages = outages
        self._control = control
        self._plain_groups_key = plain_groups
        self._on_return = on_return
        self._on_cancelled = on_cancelled
        self._commands = Wire(host, loop, on_cancelled=on_cancelled)
        self._listening = Wire(host, loop, self._heard, on_cancelled)
        #: What takes the messages of each address that is subscribed to, or will be.
        self._handlers: dict[bytes, Handler] = {}
        # What the present connection was told to subscribe to while it is not up.
        self._subscribed: set[bytes] = set()
        self.is_up = False
        self.plain_groups = PlainGroups()
        self._keeper: asyncio.Task[None] | None = None
        # Resolved when the listening connection is up; made with the first call that waits.
        self._coming: asyncio.Future[None] | None = None
        # Why it is not up, once that is known.
        self._error: Exception | None = None
        self._scripts = KnownScripts(self._commands)

    @property
    def listens(self) -> bool:
        """Whether the shard keeps a listening connection."""
        return self._keeper is not None

    def hears(self, address: str) -> bool:
        """Return whether messages to an address arrive: it hears all addresses or none."""
        return self.is_up

    def error_at(self, address: str) -> Exception | None:
        """Return why an address is not heard for now; None if that is not known."""
        return None if self._error is None else again(self._error)

    # Commands

    def post(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command, with the others of this turn of the event loop."""
        return self._commands.post(*command)

    async def run(self, call: Call[_T]) -> _T:
        """Run a script."""
        try:
            answer = await self.post(*self._scripts.command(call))
        except NoScriptError:
            answer = await self.post(*self._scripts.whole(call))
        return call.parse(answer)

    def publish(self, address: str, message: bytes) -> asyncio.Future[Any]:
        """Publish a message; return what will be how many have heard it."""
        return self.post("PUBLISH", address, message)

    async def ping(self) -> None:
        """Ask the server for an answer, and wait until all addresses are heard.

        Raises:
            redis.exceptions.RedisError: The server does not answer, or nothing is heard from it.
        """
        await self.post("PING")
        if self.listens and not self.is_up:
            await asyncio.shield(self.come_up())

    async def delete_all(self, pattern: str) -> None:
        """Delete the keys that match a pattern."""
        cursor = b"0"
        while True:
            cursor, keys = await self.post("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            if keys:
                await self.post("UNLINK", *keys)
            if cursor == b"0":
                return

    # Listening

    def listen(
        self,
        address: str,
        handler: Handler,
        *,
        from_any_slot: bool = False,
    ) -> asyncio.Future[Any]:
        """Subscribe to an address.

        Args:
            address: The address.
            handler: Takes the content of each message.
            from_any_slot: Used in a cluster.

        Returns:
            What is resolved when Redis has confirmed it.

        Raises:
            redis.exceptions.ConnectionError: Redis is away.
        """
        raw = address.encode()
        if self.is_up:
            confirmed = self._listening.post("SUBSCRIBE", raw)
            self._handlers[raw] = handler
            return confirmed
        coming = self.come_up()
        self._handlers[raw] = handler
        return coming

    def stop_listening(self, address: str) -> asyncio.Future[Any] | None:
        """Unsubscribe from an address; return what is resolved when Redis has confirmed it."""
        raw = address.encode()
        self._subscribed.discard(raw)
        if self._handlers.pop(raw, None) is None or self._listening.lost is None:
            return None
        return self._listening.post("UNSUBSCRIBE", raw)

    def start(self, address: str, handler: Handler) -> None:
        """Begin to listen, at one address first."""
        self._handlers.setdefault(address.encode(), handler)
        if self._keeper is None:
            self._keeper = self._loop.create_task(self._keep())

    def come_up(self) -> asyncio.Future[None]:
        """Return what is resolved when the listening connection is up.

        Raises:
            redis.exceptions.ConnectionError: Redis is away.
        """
        if self._error is not None:
            raise again(self._error)
        if self._coming is None:
            self._coming = self._loop.create_future()
        return self._coming

    def _heard(self, address: bytes, data: bytes) -> None:
        handler = self._handlers.get(address)
        if handler is not None:
            handler(data)

    async def _keep(self) -> None:
        """Keep the listening connection until the shard is closed, or its event loop ends."""
        try:
            await self._keep_up()
        finally:
            if self._keeper is not None:
                # Whoever else would close the shard has gone.
                self._on_cancelled()

    async def _keep_up(self) -> None:
        """Keep the listening connection, and all subscriptions."""
        was_up = False
        wire = self._listening
        while True:
            try:
                await wire.open()
                await self._subscribe_again()
            except (RedisError, OSError) as error:
                self._went_away(error)
                await asyncio.sleep(wire.retry_in())
                continue
            lost = wire.lost
            if lost is None:
                continue
            self.is_up, self._error = True, None
            self._outages.ended(self._host.name, self)
            if self._coming is not None:
                if not self._coming.done():
                    self._coming.set_result(None)
                self._coming = None
            if was_up:
                self._on_return(self._handlers.keys())
            was_up = True
            self._went_away(await self._watch(wire, lost))

    def _went_away(self, error: Exception) -> None:
        self.is_up, self._error = False, error
        self._outages.lost(self._host.name, self, error)
        coming, self._coming = self._coming, None
        if coming is not None and not coming.done():
            coming.set_exception(again(error))
            coming.exception()  # nobody may wait for it any more

    async def _subscribe_again(self) -> None:
        """Subscribe to everything, and learn which groups have members that are no process's."""
        self._subscribed.clear()
        # First, so that what is told while the groups are read is heard.
        await self._subscribe_to_missing()
        await self._read_plain_groups()
        # Last, since addresses may be added whenever this task waits.
        await self._subscribe_to_missing()

    async def _subscribe_to_missing(self) -> None:
        """Subscribe to all addresses that lack it; nothing is added between this and its return."""
        while batch := [one for one in self._handlers if one not in self._subscribed][:_BATCH]:
            self._subscribed.update(batch)
            await self._listening.post("SUBSCRIBE", *batch, answers=len(batch))

    async def _read_plain_groups(self) -> None:
        """Learn which groups have members that are no process's."""
        now = time.time()
        found = await self.post(
            "ZRANGEBYSCORE", self._plain_groups_key, now - SKEW, "+inf", "WITHSCORES"
        )
        self.plain_groups.read(found, now)

    async def _watch(self, wire: Wire, lost: asyncio.Future[Exception]) -> Exception:
        """Return the error with which the connection ends; a quiet one is tried."""
        while True:
            before = wire.answers
            await asyncio.wait([lost], timeout=_QUIET)
            if lost.done():
                return lost.result()
            if wire.answers == before:
                # Its time-out ends a connection whose server does not answer.
                wire.post("PING")

    def may_have_plain_members(self, group: str) -> bool:
        """Return whether a group may have members that are no process's."""
        # While it is not up, nobody has told this link.
        return not self.is_up or self.plain_groups.may_have(group)

    async def close(self) -> None:
        """Close both connections."""
        keeper, self._keeper = self._keeper, None
        self.is_up = False
        if keeper is not None and keeper is not asyncio.current_task():
            keeper.cancel()
            await asyncio.wait([keeper])
        await self._listening.close()
        await self._commands.close()
        self._outages.forget(self)
