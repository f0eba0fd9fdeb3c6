"""The consumers that the page about testing tests."""

import asyncio
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from chat.models import Message


class Desk(AsyncJsonWebsocketConsumer):
    """Send news to members, and the number of their messages."""

    groups = ["desk"]

    async def connect(self) -> None:
        user = self.scope["user"]
        if user.is_authenticated:
            self.name = user.get_username()
            await self.accept()
        else:
            await self.deny(status=401, body="Log in first.")

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case "count":
                mine = Message.objects.filter(author=self.name)
                await self.send_json({"messages": await mine.acount()})
            case "leave":
                await self.close(4000, "Bye.")

    async def desk_news(self, event: dict[str, Any]) -> None:
        await self.send_json({"news": event["text"]})


class Export(AsyncHttpConsumer):
    """Send a member's messages, one by one."""

    async def handle(self, body: bytes) -> None:
        name = self.scope["user"].get_username()
        await self.send_headers(headers={"Content-Type": "text/plain"})
        async for message in Message.objects.filter(author=name):
            await self.send_body(f"{message.text}\n".encode(), more_body=True)
        await self.send_body(b"")


class Counter(AsyncConsumer):
    """Do work that arrives over a channel layer."""

    async def count_rooms(self, message: dict[str, Any]) -> None:
        number = await Message.objects.values("room").distinct().acount()
        await self.channel_layer.send(message["answer"], {"type": "rooms.counted", "rooms": number})


# begin stack
application = ProtocolTypeRouter(
    {
        "http": AuthMiddlewareStack(URLRouter([path("export/", Export.as_asgi())])),
        "websocket": AuthMiddlewareStack(URLRouter([path("desk/", Desk.as_asgi())])),
    }
)
# end of stack


class Forgetful(AsyncJsonWebsocketConsumer):
    """Fail in several ways, to show the messages of failing tests."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case "wait":
                await asyncio.Event().wait()
            case "fail":
                raise ValueError("no such room")
            case "close":
                await self.close(4000, "Bye.")
