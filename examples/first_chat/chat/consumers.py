"""The consumer of one visitor's WebSocket in a room."""

from collections.abc import Mapping
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chat.forms import MessageForm
from chat.models import Message

__all__ = ["ChatConsumer"]

HISTORY = 20


class ChatConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192):
    """Connect one visitor to one room: distribute what they write, and send what others write."""

    async def connect(self) -> None:
        """Join the room, then send its latest messages."""
        self.room: str = self.scope["url_route"]["kwargs"]["room"]
        self.group = f"chat.{self.room}"
        # Join first, so that a message written while the history is read is not missed. It may
        # arrive twice; the page ignores a message whose id it already shows.
        await self.join_group(self.group)
        await self.accept()
        newest_first = Message.objects.filter(room=self.room).order_by("-id")[:HISTORY]
        for message in reversed([message async for message in newest_first]):
            await self.send_json(message.as_json())

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Store what the visitor wrote, and send it to everybody in the room."""
        form = MessageForm(content if isinstance(content, dict) else {})
        if not form.is_valid():
            await self.send_json({"errors": form.errors.get_json_data()})
            return
        message = await Message.objects.acreate(room=self.room, **form.cleaned_data)
        event = {"type": "chat.message", "message": message.as_json()}
        await self.channel_layer.group_send(self.group, event)

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """Send the visitor what somebody in the room wrote."""
        await self.send_json(event["message"])
