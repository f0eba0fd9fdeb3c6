"""The consumer of one member's WebSocket in a room."""

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chat.forms import MessageForm
from chat.models import Message


class ChatConsumer(AsyncJsonWebsocketConsumer, max_message_size=8192):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.group = f"chat.{self.room}"
        # Join first. A message that is written during the query may
        # come twice, and the page shows it once.
        await self.join_group(self.group)
        await self.accept()
        messages = Message.objects.filter(room=self.room)
        latest = [each async for each in messages.order_by("-id")[:20]]
        for message in reversed(latest):
            await self.send_json(message.as_json())

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
        await self.send_json(event["message"])

    async def ask_for_stats(self):
        job = {
            "type": "stats.count",
            "room": self.room,
            "reply_to": self.channel_name,
        }
        await self.channel_layer.send("chat-stats", job)

    async def stats_ready(self, event):
        await self.send_json({"words": event["words"]})
