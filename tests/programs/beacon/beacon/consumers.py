"""Echoes in both colours, and one that goes through the channel layer."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer


class Echo(AsyncWebsocketConsumer):
    """Answers each frame with itself."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class SyncEcho(WebsocketConsumer):
    """The same in a thread, and the long way round: by a group of the channel layer."""

    groups = ["echoes"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        event = {"type": "echo.text", "text": text_data}
        async_to_sync(self.channel_layer.group_send)("echoes", event)

    def echo_text(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["text"])
