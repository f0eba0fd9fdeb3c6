"""Jobs for a worker, and their results."""

from typing import Any

from channels.consumer import SyncConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.urls import path


class Thumbnails(SyncConsumer):
    """Make thumbnails, in a worker."""

    def __init__(self) -> None:
        self.prefix = "small-"  # stands for data that takes long to load

    def thumbnail_make(self, message: dict[str, Any]) -> None:
        answer = {"type": "thumbnail.ready", "picture": self.prefix + message["picture"]}
        self.channel_layer.send_sync(message["reply_to"], answer)


class Album(AsyncJsonWebsocketConsumer):
    """Send jobs to the worker, and tell the browser when they are done."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        job = {
            "type": "thumbnail.make",
            "picture": content["picture"],
            "reply_to": self.channel_name,
        }
        await self.channel_layer.send("thumbnails", job)

    async def thumbnail_ready(self, message: dict[str, Any]) -> None:
        await self.send_json({"ready": message["picture"]})


# begin application
application = ProtocolTypeRouter(
    {
        "websocket": URLRouter([path("ws/album/", Album.as_asgi())]),
        "channel": ChannelNameRouter({"thumbnails": Thumbnails.as_asgi()}),
    }
)
# end of application
