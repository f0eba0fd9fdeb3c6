"""A layer that keeps the contract, in steps that a test can break one by one."""

import asyncio
import copy
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar

import pytest

from channels_core.exceptions import ChannelFull
from channels_core.layers import BaseChannelLayer
from channels_testing.layers import ChannelLayerContract

__all__ = ["Queue", "SimpleContract", "SimpleLayer", "Store", "breach", "packed"]

Queue = list[tuple[float, Any]]


class Clock:
    """A clock that stands still until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Store:
    """The state that the instances of the layer share."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.queues: dict[str, Queue] = defaultdict(list)
        self.waiting: dict[str, list[Future[None]]] = defaultdict(list)
        self.groups: dict[str, dict[str, float]] = defaultdict(dict)
        self.listening: dict[str, tuple[asyncio.AbstractEventLoop, Callable[[], object]]] = {}


class SimpleLayer(BaseChannelLayer):
    """Everything in one store, under one lock."""

    extensions: ClassVar[list[str]] = ["groups", "flush"]

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        expiry: int = 60,
        group_expiry: int = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[Any, int] | None = None,
    ) -> None:
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        self.group_expiry = group_expiry
        self.store = store
        self.clock = clock

    # The steps

    def check(self, channel: str) -> None:
        self.require_valid_channel_name(channel)

    def check_group(self, group: str) -> None:
        self.require_valid_group_name(group)

    def pack(self, message: Any) -> Any:
        return packed(message)

    def unpack(self, message: Any) -> Any:
        return copy.deepcopy(message)

    def queue(self, channel: str) -> Queue:
        queue = self.store.queues[channel]
        queue[:] = [(time, message) for time, message in queue if time + self.expiry > self.clock()]
        return queue

    def put(self, channel: str, message: Any) -> None:
        with self.store.lock:
            queue = self.queue(channel)
            if len(queue) >= self.get_capacity(channel):
                raise ChannelFull(channel)
            queue.append((self.clock(), message))
            self.wake(channel)

    def wake(self, channel: str) -> None:
        """Let all waiting calls look again; the first one takes the message."""
        for future in self.store.waiting.pop(channel, []):
            if future.set_running_or_notify_cancel():
                future.set_result(None)
        if channel in self.store.listening:
            self.ring(*self.store.listening[channel])

    def ring(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], object]) -> None:
        """Tell a listener that a message has arrived."""
        loop.call_soon_threadsafe(wake)

    def take_now(self, channel: str) -> Any:
        """Take the next message for a listener, if one waits."""
        with self.store.lock:
            return self.unpack(self.take(channel)) if self.queue(channel) else None

    def take(self, channel: str) -> Any:
        return self.queue(channel).pop(0)[1]

    def members(self, group: str) -> list[str]:
        joined = self.store.groups[group].items()
        return [channel for channel, time in joined if time + self.group_expiry > self.clock()]

    # The interface

    async def new_channel(self, prefix: str = "specific.") -> str:
        return f"{prefix}{secrets.token_hex(8)}!{secrets.token_hex(8)}"

    async def send(self, channel: str, message: Any) -> None:
        self.check(channel)
        self.put(channel, self.pack(message))

    async def receive(self, channel: str) -> Any:
        self.check(channel)
        while True:
            with self.store.lock:
                if self.queue(channel):
                    return self.unpack(self.take(channel))
                future: Future[None] = Future()
                self.store.waiting[channel].append(future)
            await asyncio.wrap_future(future)

    def listen(self, channel: str, wake: Callable[[], object]) -> Callable[[], Any]:
        self.check(channel)
        self.store.listening[channel] = (asyncio.get_running_loop(), wake)
        return lambda: self.take_now(channel)

    async def group_add(self, group: str, channel: str) -> None:
        self.check_group(group)
        self.check(channel)
        self.store.groups[group][channel] = self.clock()

    async def group_discard(self, group: str, channel: str) -> None:
        self.check_group(group)
        self.check(channel)
        self.store.groups[group].pop(channel, None)

    async def group_send(self, group: str, message: Any) -> None:
        self.check_group(group)
        message = self.pack(message)
        for channel in self.members(group):
            try:
                self.put(channel, message)
            except ChannelFull:
                continue

    async def flush(self) -> None:
        self.store.queues.clear()
        self.store.groups.clear()

    async def forget_channel(self, channel: str) -> None:
        self.store.queues.pop(channel, None)
        self.store.listening.pop(channel, None)
        for members in self.store.groups.values():
            members.pop(channel, None)

    async def close(self) -> None:
        await self.flush()


def packed(message: Any) -> Any:
    """Copy a message as a network does."""
    if type(message) is not dict:
        raise TypeError(f"a message must be a dict, not {message!r}")
    return _packed(message)


def _packed(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key must be a str")
        return {key: _packed(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(one) for one in value]
    if value is not None and not isinstance(value, str | bytes | int | float):
        raise TypeError(f"{value!r} cannot be packed")
    return value


class SimpleContract(ChannelLayerContract):
    """The contract on the simple layer, or on a subclass of it."""

    latency = 0
    shared = True
    layer_class: type[SimpleLayer] = SimpleLayer
    store_class: type[Store] = Store

    def make_layer(self, **options: Any) -> Any:
        if not self._made:
            self.clock, self.store = Clock(), self.store_class()
        return self.layer_class(self.store, self.clock, **options)

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


def breach(
    broken: type[SimpleLayer],
    clause: str,
    *,
    hangs: bool = False,
    contract_class: type[SimpleContract] = SimpleContract,
) -> str:
    """Run a clause on a layer that breaks it, and return what the failure says.

    Args:
        broken: The layer.
        clause: The name of the clause.
        hangs: Whether it waits for what will not come, so that there is no sense in waiting long.
        contract_class: Makes the layer.
    """
    contract = type("Contract", (contract_class,), {"layer_class": broken})()
    if hangs:
        contract.timeout = 0.01
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the layer raises counts
        getattr(contract, clause)()
    return f"{caught.type.__name__}: {caught.value}"
