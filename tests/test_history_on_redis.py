"""Consumers that follow groups with history over outages of a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from channels.consumer import hook
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator
from redis.exceptions import RedisError

import parts
from channels_layers_redis import RedisChannelLayer
from redis_server import MissingRedis, RedisServer

SECONDS = 20


class Room(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.join_group("room", after=self.scope["after"])
        await self.accept()

    async def room_line(self, event: Any) -> None:
        await self.send_json({"text": event["text"], "position": event["position"]})


class Told(Room):
    @hook
    async def missed(self, group: str | None) -> None:
        await self.send_json({"text": f"missed {group}"})


@pytest.fixture
def server() -> Iterator[RedisServer]:
    try:
        server = RedisServer()
    except MissingRedis as missing:
        parts.missing(missing)
    with server:
        yield server


@pytest.fixture(autouse=True)
def default_layer() -> Iterator[None]:
    before = channel_layers.set("default", None)
    yield
    channel_layers.set("default", before)


@asynccontextmanager
async def layer_on(server: RedisServer, **options: Any) -> AsyncIterator[RedisChannelLayer]:
    """Yield a layer like that of another process."""
    layer = RedisChannelLayer(
        hosts=[server.url], history={"room*": {"size": 2000, "age": 600}}, **options
    )
    yield layer
    await layer.close()


@asynccontextmanager
async def page(kind: Any, after: str = "") -> AsyncIterator[WebsocketCommunicator]:
    client = WebsocketCommunicator(kind.as_asgi(), "/")
    client.scope["after"] = after
    assert (await client.connect(timeout=SECONDS))[0]
    yield client
    await client.disconnect(timeout=SECONDS)


async def say(layer: RedisChannelLayer, *texts: str) -> None:
    for text in texts:
        await layer.group_send("room", {"type": "room.line", "text": text})


async def restart(server: RedisServer, sender: RedisChannelLayer) -> None:
    """Restart the server, and return when a layer can send again."""
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    while True:
        try:
            await sender.ping()
        except RedisError:
            continue
        return


async def heard(client: WebsocketCommunicator, count: int) -> list[str]:
    return [(await client.receive_json_from(timeout=SECONDS))["text"] for _ in range(count)]


async def test_a_page_that_comes_back_gets_what_it_has_missed(server: RedisServer) -> None:
    async with layer_on(server) as layer, layer_on(server) as elsewhere:
        channel_layers.set("default", layer)
        async with page(Room) as client:
            await say(elsewhere, "one")
            last = (await client.receive_json_from(timeout=SECONDS))["position"]
        await say(elsewhere, "two", "three")
        async with page(Room, last) as client:
            await say(elsewhere, "four")
            assert await heard(client, 3) == ["two", "three", "four"]


async def test_pages_hear_all_although_the_connection_is_cut(server: RedisServer) -> None:
    told = [str(number) for number in range(1000)]
    async with layer_on(server, capacity=10) as layer, layer_on(server) as elsewhere:
        channel_layers.set("default", layer)
        async with page(Room) as one, page(Told) as other:

            async def talk() -> None:
                for number, text in enumerate(told):
                    await say(elsewhere, text)
                    if number % 300 == 200:
                        await asyncio.to_thread(server.ask, "CLIENT", "KILL", "TYPE", "pubsub")
                await say(elsewhere, "the last")

            talking = asyncio.create_task(talk())
            for client in (one, other):
                assert await heard(client, 1001) == [*told, "the last"]
            await talking


async def test_pages_are_told_that_redis_has_come_back_empty(server: RedisServer) -> None:
    async with layer_on(server) as layer, layer_on(server) as elsewhere:
        channel_layers.set("default", layer)
        async with page(Told) as client:
            await say(elsewhere, "one")
            assert await heard(client, 1) == ["one"]
            await restart(server, elsewhere)
            assert await heard(client, 1) == ["missed room"]
            await say(elsewhere, "two")
            assert await heard(client, 1) == ["two"]


async def test_pages_come_back_by_default_when_redis_has_come_back_empty(
    server: RedisServer,
) -> None:
    async with layer_on(server) as layer:
        channel_layers.set("default", layer)
        async with page(Room) as client:
            await say(layer, "one")
            assert await heard(client, 1) == ["one"]
            await restart(server, layer)
            closed = await client.receive_output(timeout=SECONDS)
            assert (closed["type"], closed["code"]) == ("websocket.close", 1012)


async def test_a_restart_that_keeps_the_data_is_made_good(server: RedisServer) -> None:
    async with layer_on(server) as layer, layer_on(server) as elsewhere:
        channel_layers.set("default", layer)
        async with page(Room) as client:
            await say(elsewhere, "one")
            assert await heard(client, 1) == ["one"]
            await asyncio.to_thread(server.ask, "SAVE")
            await restart(server, elsewhere)
            await say(elsewhere, "two", "three")
            assert await heard(client, 2) == ["two", "three"]
