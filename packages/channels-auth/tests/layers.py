"""A minimal channel layer with groups, for one process, which records its calls."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from channels_core.exceptions import MessagesMissed
from channels_core.layers import BaseChannelLayer, channel_layers
from channels_core.typing import ChannelMessage, Message

__all__ = ["GroupLayer", "default_layer"]

_Layer = TypeVar("_Layer", bound=BaseChannelLayer)

# A safety net, for a loaded machine.
SECONDS = 30


@contextmanager
def default_layer(layer: _Layer) -> Iterator[_Layer]:
    """Make a layer the channel layer `default`."""
    channel_layers.set("default", layer)
    try:
        yield layer
    finally:
        channel_layers.set("default", None)


class GroupLayer(BaseChannelLayer):
    """A channel layer whose receivers all run in one event loop.

    Any thread may send to it.
    """

    extensions: ClassVar[list[str]] = ["groups"]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.queues: dict[str, asyncio.Queue[ChannelMessage]] = defaultdict(asyncio.Queue)
        self.groups: dict[str, set[str]] = defaultdict(set)
        self.sent: list[tuple[str, Message]] = []
        self.calls: list[str] = []
        # Exceptions to raise, by the name of the method.
        self.faults: dict[str, Exception] = {}
        self.changed = asyncio.Event()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.changed.set)
        if name in self.faults:
            raise self.faults[name]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds after some call."""

        async def wait() -> None:
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        self.loop = asyncio.get_running_loop()
        await asyncio.wait_for(wait(), SECONDS)

    @property
    def members(self) -> dict[str, set[str]]:
        """The groups that have members, with their channels."""
        return {group: set(channels) for group, channels in self.groups.items() if channels}

    async def new_channel(self, prefix: str = "specific.") -> str:
        self._called("new_channel")
        self.loop = asyncio.get_running_loop()
        return f"{prefix}{self.calls.count('new_channel')}!a"

    async def receive(self, channel: str) -> ChannelMessage:
        self._called("receive")
        message = await self.queues[channel].get()
        if not message:
            raise MessagesMissed
        return message

    async def lose(self) -> None:
        """Report to the members of all groups that messages may be lost."""
        for channel in set().union(*self.groups.values()):
            self.queues[channel].put_nowait({})

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self._called("group_add")
        self.groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._called("group_discard")
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: Message) -> None:
        self._called("group_send")
        self.sent.append((group, message))
        for channel in self.groups[group]:
            assert self.loop is not None  # somebody has a channel
            self.loop.call_soon_threadsafe(self.queues[channel].put_nowait, dict(message))

    async def forget_channel(self, channel: str) -> None:
        self._called("forget_channel")
        self.queues.pop(channel, None)
