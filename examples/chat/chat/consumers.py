"""The consumer of one member's WebSocket in a room."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from channels.consumer import hook
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
    # The position in the room's messages from which a page without any of them can go on.
    position: str | None = None
    # Whether the page shows who else is in the room.
    shows_members = False

    async def connect(self) -> None:
        """Join the room, then send what the page does not have yet."""
        self.room: str = self.scope["url_route"]["kwargs"]["room"]
        query = dict(parse_qsl(self.scope["query_string"].decode(errors="replace")))
        after = query.get("after")
        # Join first, so that a message written while the history is read is not missed. It may
        # arrive twice; the page ignores a message whose id it already shows.
        if self.layer_keeps_messages():
            member = {"id": self.scope["user"].get_username()}
            await self.join_group(room_group(self.room), after=after, member=member)
        else:
            after = None
            await self.join_group(room_group(self.room))
        await self.accept()
        if not after:
            await self.send_latest()

    def layer_keeps_messages(self) -> bool:
        """Return whether the layer keeps a room's messages for a while, and knows its members."""
        return {"history", "members"} <= set(self.channel_layer.extensions)

    async def send_latest(self) -> None:
        """Send the room's latest messages from the database."""
        if self.layer_keeps_messages():
            # Asked before the query: what comes later than this position is not in its result.
            history = await self.channel_layer.group_history(room_group(self.room), limit=0)
            self.position = history.position
        newest_first = Message.objects.filter(room=self.room).order_by("-id")[:HISTORY]
        for message in reversed([message async for message in newest_first]):
            await self.send_json(message.as_json())

    @hook
    async def missed(self, group: str | None) -> None:
        """Tell the page that the layer has not kept all that was written since it was here."""
        if group == room_group(self.room):
            await self.send_json({"gap": True})
            await self.send_latest()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Store what the member wrote, and send it to everybody in the room."""
        if content == {"ask": "stats"}:
            await self.ask_for_stats()
            return
        if content == {"ask": "members"}:
            await self.send_members()
            return
        form = MessageForm(content if isinstance(content, dict) else {})
        if not form.is_valid():
            await self.send_json({"errors": form.errors.get_json_data()})
            return
        # The name comes from the login, never from what the client sends.
        author = self.scope["user"].get_username()
        await say(self.room, author, form.cleaned_data["text"])

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """Send the member what somebody in the room wrote, and where in the room's messages."""
        position = {"position": event["position"]} if "position" in event else {}
        await self.send_json({**event["message"], **position})

    async def send_members(self) -> None:
        """Send the page who is in the room, and from now on who comes and goes."""
        if self.layer_keeps_messages():
            self.shows_members = True
            members = await self.channel_layer.group_members(room_group(self.room))
            names = [member["id"] for member in members]
            await self.send_json({"members": names, "position": self.position})

    async def group_joined(self, event: Mapping[str, Any]) -> None:
        """Send the page who has come into the room."""
        if self.shows_members:
            await self.send_json({"joined": event["member"]["id"]})

    async def group_left(self, event: Mapping[str, Any]) -> None:
        """Send the page who has left the room."""
        if self.shows_members:
            await self.send_json({"left": event["member"]["id"]})

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
