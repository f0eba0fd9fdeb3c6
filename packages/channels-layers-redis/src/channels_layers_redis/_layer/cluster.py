"""A cluster, as one event loop sees it: two connections to each node, and what is heard at which.

The name of a key or an address decides its slot, and each slot is on one node. The nodes are asked
which one has what: at first, after an error, and when a node says that a slot has moved. A command
whose slot has moved was not done, so it goes to the other node. When a node is lost, or a slot has
moved, the addresses are subscribed to again where their slots are then, and the link is told that
messages may have been missed.

redis-py's clients for clusters are used for synchronous code only: its client for asyncio cannot
subscribe to the messages of a slot, keeps no order between the commands of an event loop, and
repeats a command that may have been done. So a node is a pair of the connections that a single
server has, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from redis.cluster import parse_cluster_slots
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from channels_core.backoff import Backoff
from channels_layers_redis._layer.known_scripts import KnownScripts
from channels_layers_redis._layer.plain_groups import SKEW, PlainGroups
from channels_layers_redis._layer.wire import Command, Wire, again

if TYPE_CHECKING:
    from channels_layers_redis._layer.cluster_host import ClusterHost
    from channels_layers_redis._layer.hosts import Host
    from channels_layers_redis._layer.outages import Outages
    from channels_layers_redis._scripts.calls import Call

    #: Takes the content of a message.
    Handler: TypeAlias = Callable[[bytes], object]

__all__ = ["Cluster"]

_SLOTS: Final = 16384
#: How often a command follows its slot.
_REDIRECTIONS: Final = 16
#: Seconds before a command is repeated whose keys are being moved.
_TRY_AGAIN: Final = 0.05
#: Seconds between two questions which node has what, at least.
_SPACING: Final = 0.2
#: Seconds of silence after which a connection that listens is tried.
_QUIET: Final = 10.0
#: Seconds: the longest wait after the first failure to subscribe, and the longest one of all.
_FIRST, _LONGEST = 0.1, 0.5

_T = TypeVar("_T")


class _Node:
    """One node: its connection for commands, and the one that listens."""

    def __init__(self, host: Host, cluster: Cluster, on_cancelled: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        self.host = host
        self.commands = Wire(host, loop, on_cancelled=on_cancelled)
        self.scripts = KnownScripts(self.commands)
        self._cluster = cluster
        self.listening = Wire(host, loop, self._heard, on_cancelled, self._moved_away)
        # The connection that is watched, and the answers that it had at the last look.
        self._watched: asyncio.Future[Exception] | None = None
        self._answers = -1

    def _heard(self, address: bytes, message: bytes) -> None:
        self._cluster.heard(self, address, message)

    def _moved_away(self, address: bytes) -> None:
        self._cluster.moved_away(self, address)

    @property
    def is_open(self) -> bool:
        """Whether it has a connection, or one is being made."""
        return self.commands.is_open or self.listening.is_open

    async def begin_to_listen(self) -> None:
        """Connect, if it is not connected; the cluster is told when that connection is lost."""
        await self.listening.open()
        lost = self.listening.lost
        if lost is not None and lost is not self._watched:
            self._watched = lost
            lost.add_done_callback(self._lost)

    def _lost(self, lost: asyncio.Future[Exception]) -> None:
        self._cluster.lost(self, lost.result())

    async def subscribe(self, ear: _Ear) -> None:
        """Subscribe to an address."""
        confirmed = [self.listening.post("SSUBSCRIBE", ear.address)]
        if ear.from_any_slot:
            confirmed.append(self.listening.post("SUBSCRIBE", ear.address))
        for answer in await asyncio.gather(*confirmed, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    def unsubscribe(self, ear: _Ear) -> asyncio.Future[Any] | None:
        """Unsubscribe from an address; return what is resolved when that is done."""
        if self.listening.lost is None:
            return None
        if ear.from_any_slot:
            self.listening.post("UNSUBSCRIBE", ear.address)
        return self.listening.end(ear.address)

    def try_if_quiet(self) -> None:
        """Try the connection that listens, if nothing was heard since the last look."""
        if self.listening.lost is not None:
            if self.listening.answers == self._answers:
                # Its time-out ends a connection whose node does not answer.
                self.listening.post("PING")
            self._answers = self.listening.answers

    async def close(self) -> None:
        """Close both connections."""
        await self.listening.close()
        await self.commands.close()


class _Ear:
    """What takes the messages to one address.

    Attributes:
        address: The address.
        handler: Takes the content of each message.
        from_any_slot: Whether scripts in other slots publish to it, too.
        node: The node that was asked to send them; None if none is.
        is_heard: Whether that node has confirmed it.
        was_heard: Whether one ever has, so that messages may be missed.
        subscribing: The task that subscribes to it.
    """

    __slots__ = (
        "address",
        "from_any_slot",
        "handler",
        "is_heard",
        "node",
        "subscribing",
        "was_heard",
    )

    def __init__(self, address: bytes, handler: Handler, *, from_any_slot: bool) -> None:
        self.address = address
        self.handler = handler
        self.from_any_slot = from_any_slot
        self.node: _Node | None = None
        self.is_heard = False
        self.was_heard = False
        self.subscribing: asyncio.Task[None] | None = None


class Cluster:
    """A cluster, as one event loop sees it.

    Attributes:
        plain_groups: The groups that may have members which are no process's.
    """

    def __init__(
        self,
        host: ClusterHost,
        outages: Outages,
        *,
        control: str,
        plain_groups: str,
        on_return: Callable[[Collection[bytes]], object],
        on_cancelled: Callable[[], object],
    ) -> None:
        """Belong to the event loop that runs.

        Args:
            host: The nodes that the settings name.
            outages: Told when something is not heard any more.
            control: The address at which all processes listen.
            plain_groups: The key of the groups with members that are no process's.
            on_return: Called with the addresses that are heard again.
            on_cancelled: Called when the event loop ends while a connection is open.
        """
        self._loop = asyncio.get_running_loop()
        self._host = host
        self._outages = outages
        self._control = control.encode()
        self._plain_groups_key = plain_groups
        self._on_return = on_return
        self._on_cancelled = on_cancelled
        self.plain_groups = PlainGroups()
        self._nodes: dict[tuple[str, int], _Node] = {}
        # By slot; empty before the nodes were asked.
        self._owners: list[_Node | None] = []
        # Whether they should be asked again, when that may be, and the question on its way.
        self._is_doubtful = False
        self._not_before = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._ears: dict[bytes, _Ear] = {}
        # Whether `plain_groups` is complete.
        self._knows_plain_groups = False
        self._keeper: asyncio.Task[None] | None = None
        # Resolved when the keeper has something to do.
        self._wake: asyncio.Future[None] | None = None
        # Resolved when all is heard; made with the first call that waits.
        self._coming: asyncio.Future[None] | None = None
        # Why something is not heard, once that is known.
        self._error: Exception | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # Nodes

    def _node(self, address: tuple[str, int]) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            node = _Node(self._host.at(address), self, self._on_cancelled)
            self._nodes[address] = node
        return node

    async def _owner(self, slot: int) -> _Node:
        """Return the node that has a slot.

        Raises:
            redis.exceptions.RedisError: No node has it, or no node answers.
        """
        if not self._owners or (self._is_doubtful and time.monotonic() >= self._not_before):
            if self._asking is None:
                self._asking = self._start(self._ask_for_owners())
            await asyncio.shield(self._asking)
        owner = self._owners[slot]
        if owner is None:
            self._is_doubtful = True
            raise RedisConnectionError(f"No node of {self._host.name} has the slot {slot}")
        return owner

    async def _ask_for_owners(self) -> None:
        """Ask the nodes which one has what, one after the other until one answers."""
        try:
            named = [self._node(node.address) for node in self._host.nodes if node.address]
            nodes = dict.fromkeys([*self._nodes.values(), *named])
            # One that has not answered of late is asked last.
            in_order = sorted(nodes, key=lambda node: node.commands.lost is None)
            error: Exception = RedisConnectionError(f"{self._host.name} has no node")
            for node in in_order:
                try:
                    answer = await node.commands.post("CLUSTER", "SLOTS")
                except (RedisError, OSError) as failure:
                    error = failure
                else:
                    self._read_owners(answer, node)
                    return
            raise again(error)
        finally:
            self._asking = None
            self._not_before = time.monotonic() + _SPACING

    def _read_owners(self, answer: Any, asked: _Node) -> None:
        host, _ = asked.host.address or ("", 0)
        owners: list[_Node | None] = [None] * _SLOTS
        for (first, last), found in parse_cluster_slots(answer, current_host=host).items():
            owners[first : last + 1] = [self._node(found["primary"])] * (last + 1 - first)
        self._owners = owners
        for ear in list(self._ears.values()):
            if ear.node is not None and owners[key_slot(ear.address)] is not ear.node:
                ear.node.unsubscribe(ear)
                self._lose(ear)
        self._is_doubtful = False
        for address, node in list(self._nodes.items()):
            if node not in owners and not node.is_open:
                del self._nodes[address]

    def _follow(self, error: MovedError) -> None:
        """Take a slot to be where a node has said that it is."""
        self._is_doubtful = True
        self._owners[error.slot_id] = self._node((error.host, error.port))

    # Commands

    def post(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command whose first argument is a key."""
        return self._start(self._send(key_slot(str(command[1]).encode()), lambda _: command))

    def publish(self, address: str, message: bytes) -> asyncio.Future[Any]:
        """Publish a message; return what will be how many have heard it."""
        return self.post("SPUBLISH", address, message)

    async def run(self, call: Call[_T]) -> _T:
        """Run a script."""
        slot = key_slot(call.keys[0].encode())
        try:
            answer = await self._send(slot, lambda node: node.scripts.command(call))
        except NoScriptError:
            answer = await self._send(slot, lambda node: node.scripts.whole(call))
        return call.parse(answer)

    async def _send(self, slot: int, command: Callable[[_Node], Command]) -> Any:
        """Send a command to the node that has a slot, wherever the slot goes."""
        ask: _Node | None = None
        for _ in range(_REDIRECTIONS):
            node = ask or await self._owner(slot)
            try:
                if ask is not None:
                    ask.commands.post("ASKING")
                return await node.commands.post(*command(node))
            except MovedError as error:
                ask = None
                self._follow(error)
            except AskError as error:
                ask = self._node((error.host, error.port))
            except TryAgainError:
                await asyncio.sleep(_TRY_AGAIN)
            except ClusterDownError as error:
                self._is_doubtful = True
                raise RedisConnectionError(f"{self._host.name} is down: {error}") from error
            except (RedisConnectionError, RedisTimeoutError):
                self._is_doubtful = True
                raise
        raise RedisConnectionError(f"{self._host.name} has sent a command from node to node")

    async def _masters(self) -> list[_Node]:
        await self._owner(key_slot(self._control))
        return [node for node in dict.fromkeys(self._owners) if node is not None]

    async def ping(self) -> None:
        """Ask each node for an answer, and wait until all addresses are heard.

        Raises:
            redis.exceptions.RedisError: A node does not answer, or something is not heard.
        """
        try:
            await asyncio.gather(*(node.commands.post("PING") for node in await self._masters()))
        except RedisError:
            self._is_doubtful = True
            raise
        if self.listens and not self._hears_all():
            await asyncio.shield(self.come_up())

    async def delete_all(self, pattern: str) -> None:
        """Delete the keys that match a pattern."""
        for node in await self._masters():
            cursor = b"0"
            while True:
                scan = ("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
                cursor, keys = await node.commands.post(*scan)
                # One command for keys of several slots is refused.
                await asyncio.gather(*(self.post("UNLINK", key.decode()) for key in keys))
                if cursor == b"0":
                    break

    # Listening

    @property
    def listens(self) -> bool:
        """Whether it keeps listening."""
        return self._keeper is not None

    def hears(self, address: str) -> bool:
        """Return whether messages to an address arrive."""
        ear = self._ears.get(address.encode())
        return ear is not None and ear.is_heard

    def error_at(self, address: str) -> Exception | None:
        """Return why an address is not heard for now; None if that is not known."""
        if self._error is None or self.hears(address):
            return None
        return again(self._error)

    def start(self, address: str, handler: Handler) -> None:
        """Begin to listen, at one address first."""
        raw = address.encode()
        self._ears[raw] = _Ear(raw, handler, from_any_slot=False)
        self._keeper = self._loop.create_task(self._keep())

    def listen(
        self, address: str, handler: Handler, *, from_any_slot: bool = False
    ) -> asyncio.Future[Any]:
        """Subscribe to an address.

        Args:
            address: The address.
            handler: Takes the content of each message.
            from_any_slot: Whether scripts in other slots publish to it, too: with PUBLISH, which
                the cluster gives to all of its nodes.

        Returns:
            What is resolved when the node has confirmed it.
        """
        raw = address.encode()
        ear = self._ears[raw] = _Ear(raw, handler, from_any_slot=from_any_slot)
        return self._hear(ear)

    def stop_listening(self, address: str) -> asyncio.Future[Any] | None:
        """Unsubscribe from an address; return what is resolved when that is done."""
        ear = self._ears.pop(address.encode(), None)
        return None if ear is None or ear.node is None else ear.node.unsubscribe(ear)

    def come_up(self) -> asyncio.Future[None]:
        """Return what is resolved when all addresses are heard.

        Raises:
            redis.exceptions.ConnectionError: One of them cannot be heard for now.
        """
        if self._error is not None:
            raise again(self._error)
        if self._coming is None:
            self._coming = self._loop.create_future()
            self._wake_keeper()
        return self._coming

    def may_have_plain_members(self, group: str) -> bool:
        """Return whether a group may have members that are no process's."""
        # While they are not known, nobody has told this link.
        return not self._knows_plain_groups or self.plain_groups.may_have(group)

    def heard(self, node: _Node, address: bytes, message: bytes) -> None:
        """Take a message."""
        ear = self._ears.get(address)
        if ear is not None and ear.node is node:
            ear.handler(message)

    def moved_away(self, node: _Node, address: bytes) -> None:
        """Take notice that a node no longer sends the messages to an address."""
        ear = self._ears.get(address)
        if ear is not None and ear.node is node:
            node.unsubscribe(ear)
            self._lose(ear)

    def lost(self, node: _Node, error: Exception) -> None:
        """Take notice that the connection which listens to a node was lost."""
        ears = [ear for ear in self._ears.values() if ear.node is node]
        for ear in ears:
            self._lose(ear)
        if ears and self._keeper is not None:
            self._went_away(error)

    def _lose(self, ear: _Ear) -> None:
        ear.node = None
        ear.is_heard = False
        self._is_doubtful = True
        if ear.address == self._control:
            self._knows_plain_groups = False
        self._wake_keeper()

    def _wake_keeper(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _hear(self, ear: _Ear) -> asyncio.Task[None]:
        """Return the task that subscribes to an address; it begins if there is none."""
        task = ear.subscribing
        if task is None or task.done():
            task = ear.subscribing = self._start(self._subscribe(ear))
        return task

    async def _subscribe(self, ear: _Ear) -> None:
        """Subscribe to an address; if that fails, it is left to the keeper."""
        try:
            await self._subscribe_where_it_is(ear)
        except BaseException as error:
            # Otherwise it was left meanwhile, and may have another ear.
            if self._ears.get(ear.address) is ear:
                if ear.node is not None:
                    ear.node.unsubscribe(ear)
                self._lose(ear)
            if isinstance(error, ClusterDownError):
                raise RedisConnectionError(f"{self._host.name} is down: {error}") from error
            raise

    async def _subscribe_where_it_is(self, ear: _Ear) -> None:
        """Subscribe to an address at the node that has it, wherever its slot goes."""
        slot = key_slot(ear.address)
        for _ in range(_REDIRECTIONS):
            node = await self._owner(slot)
            await node.begin_to_listen()
            if self._ears.get(ear.address) is not ear:
                return
            ear.node = node
            try:
                await node.subscribe(ear)
            except MovedError as error:
                node.unsubscribe(ear)
                ear.node = None
                self._follow(error)
            else:
                if ear.node is node:
                    ear.is_heard = ear.was_heard = True
                    return
        raise RedisConnectionError(f"{self._host.name} has sent a subscription from node to node")

    async def _keep(self) -> None:
        """Keep listening until this is closed, or its event loop ends."""
        try:
            await self._keep_up()
        finally:
            if self._keeper is not None:
                # Whoever else would close it has gone.
                self._on_cancelled()

    async def _keep_up(self) -> None:
        """Subscribe again to what was lost."""
        backoff = Backoff(first=_FIRST, longest=_LONGEST)
        while True:
            self._wake = self._loop.create_future()
            try:
                await self._hear_all()
            except (RedisError, OSError) as error:
                self._went_away(error)
                await asyncio.sleep(backoff.failed() or 0.0)
                continue
            backoff.worked()
            await asyncio.wait([self._wake], timeout=_QUIET)
            if not self._wake.done():
                for node in list(self._nodes.values()):
                    node.try_if_quiet()

    async def _hear_all(self) -> None:
        """Subscribe to all that is not heard, and learn which groups have plain members."""
        unheard = [ear for ear in self._ears.values() if not ear.is_heard]
        lost = [ear for ear in unheard if ear.was_heard]
        results = await asyncio.gather(*map(self._hear, unheard), return_exceptions=True)
        if back := {ear.address for ear in lost if ear.is_heard}:
            self._on_return(back)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if not self._knows_plain_groups:
            await self._read_plain_groups()
        if self._hears_all():
            self._error = None
            self._outages.ended(self._host.name, self)
            coming, self._coming = self._coming, None
            if coming is not None:
                coming.set_result(None)

    def _hears_all(self) -> bool:
        return self._knows_plain_groups and all(ear.is_heard for ear in self._ears.values())

    async def _read_plain_groups(self) -> None:
        """Learn which groups have members that are no process's."""
        now = time.time()
        key = self._plain_groups_key
        found = await self.post("ZRANGEBYSCORE", key, now - SKEW, "+inf", "WITHSCORES")
        self.plain_groups.read(found, now)
        self._knows_plain_groups = self.hears(self._control.decode())

    def _went_away(self, error: Exception) -> None:
        self._error = error
        self._outages.lost(self._host.name, self, error)
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.set_exception(again(error))
            coming.exception()  # nobody may wait for it any more

    # The end

    async def close(self) -> None:
        """Close all connections."""
        keeper, self._keeper = self._keeper, None
        tasks = [task for task in (keeper, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for node in self._nodes.values():
            await node.close()
        self._ears.clear()
        self._outages.forget(self)

    def _start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may wait for it any more
