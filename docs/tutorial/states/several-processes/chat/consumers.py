"""The consumer of one member's WebSocket in a room."""

from channels.consumer import hook
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.http import QueryDict

from chat.forms import MessageForm
from chat.models import Message


class ChatConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192):
    groups = ["everybody"]

    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.group = f"chat.{self.room}"
        # The layer sends what the page has missed after this position.
        after = QueryDict(self.scope["query_string"]).get("after")
        await self.join_group(self.group, after=after)
        await self.accept()
        if not after:
            await self.send_latest()

    async def send_latest(self):
        # Ask for the position first. A message that is written during
        # the query may come twice, and the page shows it once.
        layer = self.channel_layer
        history = await layer.group_history(self.group, limit=0)
        messages = Message.objects.filter(room=self.room)
        latest = [each async for each in messages.order_by("-id")[:20]]
        for message in reversed(latest):
            await self.send_message(message.as_json(), history.position)

    async def send_message(self, message, position):
        await self.send_json({**message, "position": position})

    @hook
    async def missed(self, group):
        """Do this if the layer has not kept all that was missed."""
        if group == self.group:
            await self.send_json({"gap": True})
            await self.send_latest()

    async def chat_announcement(self, event):
        await self.send_json({"announcement": event["text"]})

    async def receive_json(self, content, **kwargs):
        if content == {"ask": "stats"}:
            await self.ask_for_stats()
            return
        form = MessageForm(content if isinstance(content, dict) else {})
        if not form.is_valid():
            errors = form.errors.get_json_data()
            await self.send_json({"errors": errors})
            return
        # The name comes from the login, never from the page.
        author = self.scope["user"].get_username()
        message = await Message.objects.acreate(
            room=self.room, author=author, **form.cleaned_data
        )
        event = {"type": "chat.message", "message": message.as_json()}
        for group in (self.group, "feed"):
            await self.channel_layer.group_send(group, event)

    async def chat_message(self, event):
        await self.send_message(event["message"], event["position"])

    async def ask_for_stats(self):
        job = {
            "type": "stats.count",
            "room": self.room,
            "reply_to": self.channel_name,
        }
        await self.channel_layer.send("chat-stats", job)

    async def stats_ready(self, event):
        await self.send_json({"words": event["words"]})
