"""The WebSockets of the pages: one for the list of rooms, one for a room.

Each feature is one idea of Channels, and its comment names the page of the documentation on it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from channels.consumer import hook
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chat.announcing import EVERYBODY
from chat.forms import MessageForm
from chat.jobs import STATS
from chat.models import Message, Reading, latest
from chat.saying import FEED, room_group, say

__all__ = ["ChatConsumer", "RoomsConsumer"]


class RoomsConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192):
    """Tell a page that shows the list of rooms where somebody has written."""

    groups = [FEED]

    async def feed_message(self, event: Mapping[str, Any]) -> None:
        """Send the name of the room; its page has the message."""
        await self.send_json({"active": event["room"]})


# Options of consumers: docs/topics/consumers.md.
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
        self.name: str = self.scope["user"].get_username()
        query = dict(parse_qsl(self.scope["query_string"].decode(errors="replace")))
        after = query.get("after")
        # Join first, so that a message written while the history is read is not missed. It may
        # arrive twice; the page ignores a message whose id it already shows.
        if self.layer_keeps_messages():
            # History: docs/topics/history.md. Presence: docs/topics/presence.md.
            await self.join_group(room_group(self.room), after=after, member={"id": self.name})
        else:
            after = None
            await self.join_group(room_group(self.room))
        await self.join_group(self.typing_group())
        await self.accept()
        if not after:
            await self.send_latest()

    def layer_keeps_messages(self) -> bool:
        """Return whether the layer keeps a room's messages for a while, and knows its members."""
        return {"history", "members"} <= set(self.channel_layer.extensions)

    def typing_group(self) -> str:
        """Return the group for what nobody needs later; the settings give it no history."""
        return f"typing.{self.room}"

    async def send_latest(self) -> None:
        """Send the room's latest messages from the database."""
        if self.layer_keeps_messages():
            # Asked before the query: what comes later than this position is not in its result.
            history = await self.channel_layer.group_history(room_group(self.room), limit=0)
            self.position = history.position
        for message in await latest(Message.objects.filter(room=self.room)):
            await self.send_json(message)

    @hook
    async def missed(self, group: str | None) -> None:
        """Tell the page that the layer has not kept all that was written since it was here."""
        if group == room_group(self.room):
            await self.send_json({"gap": True})
            await self.send_latest()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Do what the page asks for. A client may send anything else: that is no message."""
        match content:
            case {"ask": "stats", **more} if not more:
                await self.ask_for_stats()
            case {"ask": "members", **more} if not more:
                await self.send_members()
            case {"ask": "rooms", **more} if not more:
                await self.join_group(FEED)
            case {"before": int(first)}:
                await self.send_earlier(first)
            case {"read": int(last)} if 0 <= last < 2**63:
                await self.store_reading(last)
            case {"typing": True}:
                typing = {"type": "chat.typing", "author": self.name}
                await self.channel_layer.group_send(self.typing_group(), typing)
            case _:
                await self.store_message(content)

    async def store_message(self, content: Any) -> None:
        """Store what the member wrote, and send it to everybody in the room."""
        form = MessageForm(content if isinstance(content, dict) else {})
        if not form.is_valid():
            ref = form.cleaned_data.get("ref")
            errors = form.errors.get_json_data()
            await self.send_json({"errors": errors, "ref": ref.hex if ref else None})
            return
        # The name comes from the login, never from what the client sends.
        message, is_new = await say(self.room, self.name, **form.cleaned_data)
        if not is_new:
            # The page lost its connection before it heard that the message had arrived.
            await self.send_json(message.as_json())

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """Send the member what somebody in the room wrote, and where in the room's messages."""
        position = {"position": event["position"]} if "position" in event else {}
        await self.send_json({**event["message"], **position})

    async def feed_message(self, event: Mapping[str, Any]) -> None:
        """Send the page, which lists the other rooms too, where somebody has written."""
        if event["room"] != self.room:
            await self.send_json({"active": event["room"]})

    async def chat_typing(self, event: Mapping[str, Any]) -> None:
        """Tell the page who is writing, unless it is the member of this page."""
        if event["author"] != self.name:
            await self.send_json({"typing": event["author"]})

    async def send_earlier(self, first: int) -> None:
        """Send the page the messages before the first one that it shows."""
        messages = Message.objects.filter(room=self.room, id__lt=first)
        await self.send_json({"earlier": await latest(messages), "before": first})

    async def store_reading(self, last: int) -> None:
        """Remember what the member has read, for the number of unread messages."""
        await Reading.objects.aupdate_or_create(
            member=self.scope["user"], room=self.room, defaults={"last": last}
        )

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
        """Send a job to a worker, with the channel for the result: docs/topics/workers.md."""
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
