"""A channel layer in about a hundred lines; its messages wait in this process."""

import asyncio
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import msgpack
from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer


class SmallLayer(BaseChannelLayer):
    extensions: ClassVar[list[str]] = ["groups", "flush"]
    reaches_other_processes: ClassVar[bool | None] = False

    def __init__(
        self,
        *,
        group_expiry: int = 86400,
        clock: Callable[[], float] = time.monotonic,
        **limits: Any,
    ) -> None:
        super().__init__(**limits)  # expiry, capacity, channel_capacity
        self.group_expiry = group_expiry
        self._clock = clock
        # Any thread may call the layer. So no asyncio object guards these.
        self._lock = threading.Lock()
        self._queues: defaultdict[str, deque[tuple[float, bytes]]] = defaultdict(deque)
        self._groups: defaultdict[str, dict[str, float]] = defaultdict(dict)
        # What to call when a message arrives, each in an event loop of its own.
        self._wakes: defaultdict[str, list[Callable[[], object]]] = defaultdict(list)

    # The required part

    async def new_channel(self) -> str:
        return f"specific.{secrets.token_hex(12)}!{secrets.token_hex(12)}"

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        self.require_valid_channel_name(channel)
        if not self._put(channel, _packed(message)):
            raise ChannelFull(channel)

    async def receive(self, channel: str) -> dict[str, Any]:
        self.require_valid_channel_name(channel)
        loop = asyncio.get_running_loop()
        while True:
            woken = asyncio.Event()
            wake = _in_loop(loop, woken.set)
            with self._lock:
                self._wakes[channel].append(wake)
            try:
                # Taken without an await after it: a cancelled call loses no message.
                if (message := self._take(channel)) is not None:
                    return message
                await woken.wait()
            finally:
                self._forget_wake(channel, wake)

    # The extension "groups"

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        with self._lock:
            self._groups[group][channel] = self._clock() + self.group_expiry

    async def group_discard(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        with self._lock:
            self._groups[group].pop(channel, None)

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        self.require_valid_group_name(group)
        packed = _packed(message)
        with self._lock:
            now = self._clock()
            members = [name for name, until in self._groups[group].items() if until > now]
        for name in members:
            self._put(name, packed)  # a member without room is left out

    # The extension "flush"

    async def flush(self) -> None:
        with self._lock:
            self._queues.clear()
            self._groups.clear()

    # Optional parts that consumers use

    def listen(
        self, channel: str, wake: Callable[[], object]
    ) -> Callable[[], dict[str, Any] | None]:
        self.require_valid_channel_name(channel)
        with self._lock:
            self._wakes[channel].append(_in_loop(asyncio.get_running_loop(), wake))
        return lambda: self._take(channel)

    async def forget_channel(self, channel: str) -> None:
        with self._lock:
            self._queues.pop(channel, None)
            self._wakes.pop(channel, None)
            for members in self._groups.values():
                members.pop(channel, None)

    # The store

    def _put(self, channel: str, packed: bytes) -> bool:
        with self._lock:
            queue = self._without_expired(channel)
            if len(queue) >= self.get_capacity(channel):
                return False
            queue.append((self._clock() + self.expiry, packed))
            wakes = list(self._wakes[channel])
        for wake in wakes:
            wake()
        return True

    def _take(self, channel: str) -> dict[str, Any] | None:
        with self._lock:
            queue = self._without_expired(channel)
            return msgpack.unpackb(queue.popleft()[1]) if queue else None

    def _without_expired(self, channel: str) -> deque[tuple[float, bytes]]:
        queue = self._queues[channel]
        while queue and queue[0][0] <= self._clock():
            queue.popleft()
        return queue

    def _forget_wake(self, channel: str, wake: Callable[[], object]) -> None:
        with self._lock, suppress(ValueError):
            self._wakes[channel].remove(wake)


def _packed(message: Any) -> bytes:
    """Return a message as bytes, which every receiver unpacks for itself."""
    if not isinstance(message, Mapping) or not _has_str_keys(message):
        raise TypeError(f"A message is a dict with str keys, not {message!r:.100}")
    try:
        packed: bytes = msgpack.packb(message)
    except (OverflowError, ValueError) as error:
        raise TypeError(f"A message cannot be packed: {error}") from error
    return packed


def _has_str_keys(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _has_str_keys(inner) for key, inner in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_str_keys, value))


def _in_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[[], object]
) -> Callable[[], object]:
    """Return what calls a function in an event loop, from any thread."""

    def call() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(function)

    return call
