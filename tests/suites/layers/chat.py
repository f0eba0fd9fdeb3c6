"""A chat with async and sync consumers, which communicate through the layer."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.consumer import SyncConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path


class Room(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case {"say": text}:
                message = {"type": "room.said", "text": text, "by": self.channel_name}
                await self.channel_layer.group_send(self.room, message)
            case {"whisper": text, "to": channel}:
                await self.channel_layer.send(channel, {"type": "room.whispered", "text": text})
            case {"leave": room}:
                await self.channel_layer.group_discard(room, self.channel_name)
                await self.send_json({"left": room})
            case {"work": number}:
                message = {"type": "work.double", "number": number, "answer": self.channel_name}
                await self.channel_layer.send("work", message)
            case _:
                await self.send_json({"me": self.channel_name})

    async def room_said(self, message: Any) -> None:
        await self.send_json({"said": message["text"], "mine": message["by"] == self.channel_name})

    async def room_whispered(self, message: Any) -> None:
        await self.send_json({"whispered": message["text"]})

    async def work_done(self, message: Any) -> None:
        await self.send_json({"done": message["number"]})


class Notices(JsonWebsocketConsumer):
    groups = ["notices"]

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        message = {"type": "notice", "text": content["notice"]}
        async_to_sync(self.channel_layer.group_send)("notices", message)

    def notice(self, message: Any) -> None:
        self.send_json({"notice": message["text"]})


class Worker(SyncConsumer):
    def work_double(self, message: Any) -> None:
        answer = {"type": "work.done", "number": 2 * message["number"]}
        async_to_sync(self.channel_layer.send)(message["answer"], answer)


def post(request: Any, text: str) -> HttpResponse:
    message = {"type": "notice", "text": text}
    async_to_sync(get_channel_layer().group_send)("notices", message)
    return HttpResponse("posted")


urlpatterns = [path("post/<slug:text>/", post)]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [
                path("room/<slug:room>/", Room.as_asgi()),
                path("notices/", Notices.as_asgi()),
            ]
        ),
        "channel": ChannelNameRouter({"work": Worker.as_asgi()}),
    }
)
