"""Programs on the layers of channels-redis."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import channel_layers, get_channel_layer, send_sync
from channels.testing import WebsocketCommunicator
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from django.utils.module_loading import import_string
from redis import exceptions

from channels_core._layers import channels_redis
from channels_core._layers.optional_methods import close_layer, forget_channel
from channels_core._layers.outages import is_outage
from redis_server import RedisServer, require_redis

# A safety net, for a machine under load.
SECONDS = 30


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with require_redis() as url:
        yield url


class Member(AsyncWebsocketConsumer):
    groups = ["left", "stayed"]

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        if text_data == "leave":
            await self.channel_layer.group_discard("left", self.channel_name)
        await self.send(self.channel_name)

    async def news(self, event: Any) -> None:
        await self.send(event["text"])


class SyncMember(WebsocketConsumer):
    groups = ["left", "stayed"]

    def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        if text_data == "leave":
            async_to_sync(self.channel_layer.group_discard)("left", self.channel_name)
        self.send(self.channel_name)

    def news(self, event: Any) -> None:
        self.send(event["text"])


@pytest.mark.parametrize(
    ("kind", "adds", "how"),
    [
        (RedisChannelLayer, RedisChannelLayer, "itself"),
        (RedisChannelLayer, RedisChannelLayer, "another object"),
        (RedisChannelLayer, RedisChannelLayer, "another thread"),
        (RedisPubSubChannelLayer, RedisPubSubLoopLayer, "itself"),
    ],
)
@pytest.mark.parametrize("member", [Member, SyncMember])
async def test_a_renewal_does_not_restore_a_membership_that_was_left(
    redis_url: str,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    adds: Any,
    how: str,
    member: Any,
) -> None:
    settings.CHANNELS_GROUP_RENEWAL = 0.01
    group_add = adds.group_add
    added: asyncio.Queue[str] = asyncio.Queue()

    async def note(layer: Any, group: str, channel: str) -> None:
        await group_add(layer, group, channel)
        added.put_nowait(group)

    monkeypatch.setattr(adds, "group_add", note)
    options = {"hosts": [redis_url]}
    layer = kind(**options)
    channel_layers.set("default", layer)
    try:
        client = WebsocketCommunicator(member.as_asgi(), "/")
        assert (await client.connect(SECONDS))[0]
        await client.send_to("leave" if how == "itself" else "name")
        name = await client.receive_from(SECONDS)
        if how == "another object":
            await kind(**options).group_discard("left", name)
        elif how == "another thread":
            await asyncio.to_thread(async_to_sync(layer.group_discard), "left", name)
        while not added.empty():
            added.get_nowait()
        async with asyncio.timeout(SECONDS):
            # Whole rounds of renewals: the first may have begun before.
            for _ in range(4):
                while await added.get() != "stayed":
                    pass
        await layer.group_send("left", {"type": "news", "text": "of the group that was left"})
        await layer.group_send("stayed", {"type": "news", "text": "of the other"})
        assert await client.receive_from(SECONDS) == "of the other"
        await client.disconnect(timeout=SECONDS)
    finally:
        channel_layers.set("default", None)
        await layer.flush()


@pytest.mark.parametrize("kind", ["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
async def test_calls_from_synchronous_code_work_on_each_layer(
    redis_url: str, settings: Any, kind: str
) -> None:
    config = {"hosts": [redis_url]}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"channels_redis.{kind}", "CONFIG": config}}
    layer: Any = get_channel_layer()
    own = import_string(f"channels_redis.{kind}")(**config)
    channel = await layer.new_channel()
    receiving = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)  # so that the layer knows the channel

    def work() -> None:
        layer.send_sync(channel, {"type": "a"})
        send_sync(own, channel, {"type": "b"})
        with pytest.raises(TypeError):
            layer.send_on_commit(channel, {"type": object()})

    try:
        await asyncio.to_thread(work)
        async with asyncio.timeout(SECONDS):
            assert await receiving == {"type": "a"}
            assert await layer.receive(channel) == {"type": "b"}
    finally:
        await layer.flush()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.ConnectionError(), True),
        (exceptions.BusyLoadingError(), True),
        (exceptions.TimeoutError(), True),
        (exceptions.DataError(), False),
    ],
)
def test_which_errors_of_its_client_are_an_outage(error: Exception, expected: bool) -> None:
    assert is_outage(RedisChannelLayer(), error) is expected


@pytest.mark.parametrize("kind", [RedisChannelLayer, RedisPubSubChannelLayer])
async def test_an_ended_connection_leaves_no_message_behind(redis_url: str, kind: Any) -> None:
    layer = kind(hosts=[redis_url])
    ended, other = await layer.new_channel(), await layer.new_channel()
    receiving = asyncio.ensure_future(layer.receive(other))
    for _ in range(2):
        await layer.send(ended, {"type": "a"})
    await layer.send(other, {"type": "b"})
    async with asyncio.timeout(SECONDS):
        # One `receive` reads for all channels of the process, in order.
        assert await receiving == {"type": "b"}
        kept = layer.receive_buffer if kind is RedisChannelLayer else layer.channels
        assert kept[ended].qsize() == 2
        await forget_channel(layer, ended)
        assert ended not in kept
    await layer.flush()
    await close_layer(layer)


@pytest.mark.usefixtures("redis_url")
async def test_an_idle_site_has_one_line_for_an_outage_of_pubsub(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer tries again each second, and logs its error each time."""
    theirs = logging.getLogger("channels_redis.pubsub")
    tried = 0
    enough = asyncio.Event()

    def count(record: logging.LogRecord) -> bool:
        nonlocal tried
        tried += 1
        if tried == 3:
            enough.set()
        return True

    path = "channels_redis.pubsub.RedisPubSubChannelLayer"
    monkeypatch.setattr(theirs, "filters", [count])
    monkeypatch.setattr(channels_redis, "_latest", -1000.0)
    monkeypatch.setattr(channels_redis, "ongoing", {})  # another test may have left one
    with RedisServer() as server:
        options = {"hosts": [server.url]}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": path, "CONFIG": options}}
        layer: Any = get_channel_layer()
        await layer.group_add("room", await layer.new_channel())
        server.stop()
        await asyncio.wait_for(enough.wait(), SECONDS)
    assert len([record for record in caplog.records if record.name == theirs.name]) == 1
    await layer.flush()
