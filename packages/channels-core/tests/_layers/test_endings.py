import asyncio
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from channels_core._layers.optional_methods import forget_channel
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.layers import channel_layers
from channels_core.typing import ChannelMessage
from fakes import LocalLayer, Server, until


class Keeping(LocalLayer):
    """Drops a channel when a waiting `receive` is cancelled, as channels-redis does."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: dict[str, asyncio.Queue[ChannelMessage]] = self.queues

    async def receive(self, channel: str) -> ChannelMessage:
        try:
            return await super().receive(channel)
        except asyncio.CancelledError:
            del self.channels[channel]
            raise


async def test_a_layers_own_way_is_taken() -> None:
    class Forgetful(LocalLayer):
        async def forget_channel(self, channel: str) -> None:
            self.calls.append(("forget_channel", channel))

    layer = Forgetful()
    await forget_channel(layer, "one")
    assert layer.calls == [("forget_channel", "one")]


async def test_a_mock_of_a_layer_need_not_give_what_can_be_awaited() -> None:
    layer = MagicMock()
    await forget_channel(layer, "one")
    layer.forget_channel.assert_called_once_with("one")


async def test_a_connection_with_a_mock_of_a_layer_ends_in_good_order() -> None:
    layer = MagicMock()
    layer.new_channel = AsyncMock(return_value="specific.x!y")
    layer.group_add = AsyncMock()
    layer.group_discard = AsyncMock()
    inbox: asyncio.Queue[ChannelMessage] = asyncio.Queue()
    layer.receive = lambda channel: inbox.get()

    class Member(AsyncWebsocketConsumer):
        groups = ["one"]

    channel_layers.set("default", layer)
    try:
        server = Server(Member.as_asgi())
        await server.connect()
        await server.leave()
    finally:
        channel_layers.set("default", None)
    layer.group_add.assert_awaited_once_with("one", "specific.x!y")
    layer.group_discard.assert_awaited_once_with("one", "specific.x!y")
    layer.forget_channel.assert_called_once_with("specific.x!y")


@pytest.mark.parametrize("messages", [0, 3])
async def test_what_is_kept_is_dropped_with_what_waits_there(messages: int) -> None:
    layer = Keeping()
    layer.channels["one"] = asyncio.Queue()
    for _ in range(messages):
        await layer.send("one", {"type": "note"})
    await layer.send("other", {"type": "note"})
    await forget_channel(layer, "one")
    assert list(layer.channels) == ["other"]


async def test_what_is_not_kept_is_not_asked_for() -> None:
    layer = Keeping()
    await forget_channel(layer, "one")
    await forget_channel(None, "one")
    assert layer.calls == []
    assert not layer.channels


async def test_a_layer_that_fails_is_left_alone() -> None:
    layer = Keeping()
    await layer.send("one", {"type": "note"})
    layer.faults["receive"] = LookupError("broken")
    await forget_channel(layer, "one")
    assert layer.calls == [("send", "one"), ("receive", "one")]


async def test_attributes_of_other_kinds_mean_nothing() -> None:
    class Counting(LocalLayer):
        channels = 7

    await forget_channel(Counting(), "one")


async def test_a_connection_that_ends_with_a_message_in_hand_leaves_no_channel() -> None:
    held = asyncio.Event()

    class Busy(AsyncWebsocketConsumer):
        groups = ["g"]

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            held.set()
            # The first message was taken from the layer, and waits for its turn.
            await until(lambda: layer.channels[self.channel_name].qsize() == 1)
            raise LookupError("broken")

    layer = Keeping()
    channel_layers.set("default", layer)
    try:
        server = Server(Busy.as_asgi())
        await server.connect()
        server.text("x")
        await held.wait()
        for _ in range(2):
            await layer.group_send("g", {"type": "note"})
        with pytest.raises(LookupError, match="broken"):
            await server.end()
        assert not layer.channels
    finally:
        channel_layers.set("default", None)
