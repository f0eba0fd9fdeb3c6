"""Who is typing in a room."""

from collections.abc import Mapping
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer


class TypingRoom(AsyncJsonWebsocketConsumer):
    """Tell the others that somebody is typing."""

    async def connect(self) -> None:
        # Not the group of the messages: what is typed now belongs into no history.
        self.group = f"typing.{self.scope['url_route']['kwargs']['name']}"
        await self.join_group(self.group)
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == {"typing": True}:
            event = {"type": "typing.now", "name": self.scope["user"].get_username()}
            await self.channel_layer.group_send(self.group, event, exclude=[self.channel_name])

    async def typing_now(self, event: Mapping[str, Any]) -> None:
        await self.send_json({"typing": event["name"]})
