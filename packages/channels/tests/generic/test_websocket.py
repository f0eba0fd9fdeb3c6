from typing import Any

import channels.generic.websocket
from asgiref.sync import async_to_sync
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)

import channels_core.generic.websocket
from channels_core.typing import Message
from client import Client
from interpreter import run


class Room(AsyncWebsocketConsumer):
    groups = ["room"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send("room", {"type": "room.said", "text": text_data})

    async def room_said(self, message: Message) -> None:
        await self.send(text_data=message["text"])


class SyncRoom(WebsocketConsumer):
    groups = ["room"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = {"type": "room.said", "text": text_data}
        async_to_sync(self.channel_layer.group_send)("room", message)

    def room_said(self, message: Message) -> None:
        self.send(text_data=message["text"])


class JsonEcho(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"seen": content})


class SyncJsonEcho(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json({"seen": content})


def test_it_is_the_module_of_the_core() -> None:
    assert channels.generic.websocket is channels_core.generic.websocket


async def test_consumers_of_both_colours_share_a_room() -> None:
    clients = [Client(Room.as_asgi()), Client(SyncRoom.as_asgi())]
    for client in clients:
        assert (await client.connect())["type"] == "websocket.accept"
    for speaker in clients:
        await speaker.send_text("hello")
        assert [await client.receive_text() for client in clients] == ["hello", "hello"]
    for client in clients:
        await client.leave()


async def test_consumers_of_both_colours_speak_json() -> None:
    for consumer in (JsonEcho, SyncJsonEcho):
        client = Client(consumer.as_asgi())
        await client.connect()
        await client.send_text("[1]")
        assert await client.receive_text() == '{"seen": [1]}'
        await client.leave()


def test_it_brings_the_module_of_consumers_under_its_name() -> None:
    """Agents patch consumers in a hook on the import of that name."""
    run("""
import sys, channels.generic.websocket
assert "channels.consumer" in sys.modules
""")
