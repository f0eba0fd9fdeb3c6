"""A room with async and sync consumers, a counter with JSON, and a worker's printer."""

import json
from typing import Any

from asgiref.sync import async_to_sync
from channels.consumer import SyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import ChannelFull, DenyConnection, StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer

from .models import Line


class Room(WebsocketConsumer):
    """A sync consumer that joins and leaves its group itself."""

    def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        async_to_sync(self.channel_layer.group_add)(f"room_{self.room}", self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(f"room_{self.room}", self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        text = json.loads(text_data or "{}")["text"]
        Line.objects.create(room=self.room, text=text)
        async_to_sync(self.channel_layer.group_send)(
            f"room_{self.room}", {"type": "room.line", "text": text}
        )

    def room_line(self, event: dict[str, Any]) -> None:
        self.send(text_data=json.dumps({"text": event["text"]}))


class AsyncRoom(AsyncWebsocketConsumer):
    """The same with an async consumer; only members of the lobby are accepted."""

    async def connect(self) -> None:
        if self.scope["member"] is None:
            raise DenyConnection
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(f"room_{self.room}", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.scope["member"] is not None:
            await self.channel_layer.group_discard(f"room_{self.room}", self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        text = json.loads(text_data or "{}")["text"]
        await database_sync_to_async(self.keep)(text)
        await self.channel_layer.group_send(
            f"room_{self.room}", {"type": "room.line", "text": text}
        )

    async def room_line(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"text": event["text"]}))

    def keep(self, text: str) -> None:
        Line.objects.create(room=self.room, text=text)


class Counter(AsyncJsonWebsocketConsumer):
    """Sends the number of lines in a room, and a job to the printer on request."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content["action"] == "count":
            lines = await database_sync_to_async(Line.objects.filter(room=content["room"]).count)()
            await self.send_json({"lines": lines})
        elif content["action"] == "print":
            layer = get_channel_layer()
            assert layer is not None
            try:
                await layer.send("printer", {"type": "print.page", "room": content["room"]})
            except ChannelFull:
                await self.send_json({"error": "busy"}, close=True)
        else:
            await self.close(code=4000)


class Printer(SyncConsumer):
    """Handles messages of the channel `printer`, without a connection."""

    printed: list[str] = []

    def print_page(self, message: dict[str, Any]) -> None:
        lines = Line.objects.filter(room=message["room"]).values_list("text", flat=True)
        self.printed.extend(lines)

    def print_stop(self, message: dict[str, Any]) -> None:
        raise StopConsumer
