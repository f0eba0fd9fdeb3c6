"""The consumer of one member's WebSocket in a room."""

from collections.abc import Mapping
from typing import Any

from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chat.announcing import EVERYBODY
from chat.forms import MessageForm
from chat.jobs import STATS
from chat.models import HISTORY, Message
from chat.saying import room_group, say

__all__ = ["ChatConsumer"]


class ChatConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192, max_pending=1_000_000):
    """Connect one member to one room: distribute what they write, and send what others write."""

    groups = [EVERYBODY]

    async def connect(self) -> None:
        """Join the room, then send its latest messages."""
        self.room: str = self.scope["url_route"]["kwargs"]["room"]
        # Join first, so that a message written while the history is read is not missed. It may
        # arrive twice; the page ignores a message whose id it already shows.
        await self.join_group(room_group(self.room))
        await self.accept()
        newest_first = Message.objects.filter(room=self.room).order_by("-id")[:HISTORY]
        for message in reversed([message async for message in newest_first]):
            await self.send_json(message.as_json())

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Store what the member wrote, and send it to everybody in the room."""
        if content == {"ask": "stats"}:
            await self.ask_for_stats()
            return
        form = MessageForm(content if isinstance(content, dict) else {})
        if not form.is_valid():
            await self.send_json({"errors": form.errors.get_json_data()})
            return
        # The name comes from the login, never from what the client sends.
        author = self.scope["user"].get_username()
        await say(self.room, author, form.cleaned_data["text"])

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """Send the member what somebody in the room wrote."""
        await self.send_json(event["message"])

    async def chat_announcement(self, event: Mapping[str, Any]) -> None:
        """Send the member an announcement, unless it is for another room."""
        if event["room"] in (None, self.room):
            await self.send_json({"announcement": event["text"], "sent_at": event["sent_at"]})

    async def ask_for_stats(self) -> None:
        """Send a job to a worker, with the channel for the result."""
        # Both the channel and the room are those of this connection. The client chooses neither, so
        # it cannot read another room or write to another connection.
        job = {"type": "stats.count", "room": self.room, "reply_to": self.channel_name}
        try:
            await self.channel_layer.send(STATS, job)
        except ChannelFull:
            problem = {"message": "Too many requests are waiting. Please try again later."}
            await self.send_json({"errors": {"ask": [problem]}})

    async def stats_ready(self, event: Mapping[str, Any]) -> None:
        """Send the member the worker's result."""
        await self.send_json({"stats": event["stats"]})
