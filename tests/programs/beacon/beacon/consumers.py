"""Async and sync consumers that echo, the latter through the channel layer."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer


class Echo(AsyncWebsocketConsumer):
    """Sends each frame back."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class SyncEcho(WebsocketConsumer):
    """The same in a thread, and through a group of the channel layer."""

    groups = ["echoes"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        event = {"type": "echo.text", "text": text_data}
        async_to_sync(self.channel_layer.group_send)("echoes", event)

    def echo_text(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["text"])
