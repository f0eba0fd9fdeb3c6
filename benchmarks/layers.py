"""What cases about channel layers share: the layers, the messages, and how they are checked."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from benchmarks.honesty import check_copies, check_equal
from benchmarks.site import set_up

__all__ = ["Mailboxes", "channels_layer", "check_layer", "nested", "small"]


def small(number: int) -> dict[str, Any]:
    """Return a message with four plain values, the last of which is unique."""
    return {"type": "chat.message", "text": "hello world", "room": 12345, "number": number}


def nested(number: int) -> dict[str, Any]:
    """Return a message of about 10 kB when packed, with lists and dicts in it."""
    rows = [
        {"id": row, "name": f"a name of row {row}", "tags": ["red", "green", "blue"], "price": 9.5}
        for row in range(110)
    ]
    return {"type": "chat.message", "rows": rows, "number": number}


def channels_layer() -> Any:
    """Return an in-memory layer of the installed `channels`."""
    set_up()
    from channels.layers import InMemoryChannelLayer

    # With the default of 60 seconds, messages to a large group could expire under upstream, and
    # their receivers would wait forever.
    return InMemoryChannelLayer(expiry=3600, capacity=1000)


class Mailboxes:
    """The limit: a deque and a future for each channel, and a copy for each receiver."""

    def __init__(self, copy: Callable[[Any], Any]) -> None:
        self._copy = copy
        self._queues: dict[str, deque[Any]] = {}
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._groups: dict[str, dict[str, None]] = {}
        self._count = 0

    async def new_channel(self) -> str:
        self._count += 1
        return f"channel.{self._count}"

    def _put(self, channel: str, message: Any) -> None:
        if channel not in self._queues:
            self._queues[channel] = deque()
        self._queues[channel].append(message)
        if (waiter := self._waiters.pop(channel, None)) is not None and not waiter.done():
            waiter.set_result(None)

    async def send(self, channel: str, message: Any) -> None:
        self._put(channel, self._copy(message))

    async def receive(self, channel: str) -> Any:
        if channel not in self._queues:
            self._queues[channel] = deque()
        queue = self._queues[channel]
        while not queue:
            waiter = self._waiters[channel] = asyncio.get_running_loop().create_future()
            await waiter
        return queue.popleft()

    async def group_add(self, group: str, channel: str) -> None:
        self._groups.setdefault(group, {})[channel] = None

    async def group_discard(self, group: str, channel: str) -> None:
        self._groups.get(group, {}).pop(channel, None)

    async def group_send(self, group: str, message: Any) -> None:
        for channel in self._groups.get(group, ()):
            self._put(channel, self._copy(message))


async def check_layer(layer: Any, make: Callable[[int], dict[str, Any]]) -> None:
    """Check that messages arrive unchanged, and that each receiver has a copy of its own.

    Raises:
        DishonestError: They do not.
    """
    message = make(1)
    here, there = await layer.new_channel(), await layer.new_channel()
    await layer.send(here, message)
    message["number"] = 2
    check_equal("a message of a layer", make(1), await layer.receive(here))
    await layer.group_add("checked", here)
    await layer.group_add("checked", there)
    await layer.group_send("checked", make(3))
    copies = [await layer.receive(channel) for channel in (here, there)]
    check_equal("a message to a group", make(3), copies[0])
    check_copies("a message to a group", copies, _spoil)
    for channel in (here, there):
        await layer.group_discard("checked", channel)


def _spoil(message: dict[str, Any]) -> None:
    message["number"] = -1
    for row in message.get("rows", ()):
        row["tags"].append("spoiled")
