"""The whole of a room in which browsers write to each other."""

# Shown without types, as most sites are written.
# mypy: disallow-untyped-defs=False, disable-error-code="union-attr"

# begin room
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path


class Room(AsyncWebsocketConsumer):
    async def connect(self):
        await self.join_group("room")
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("room", {"type": "room.line", "text": text_data})

    async def room_line(self, event):
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(URLRouter([path("room/", Room.as_asgi())]))}
)
# end of the excerpt
