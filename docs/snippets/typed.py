"""A room whose types pass strict checks."""

import json
from typing import Any, Literal, TypedDict, TypeVar, cast

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels.middleware import BaseMiddleware
from channels.routing import URLRouter
from channels.typing import (
    ASGIApplication,
    Receive,
    Scope,
    Send,
    WebsocketDisconnect,
    WebsocketScope,
)
from django.urls import path


class Line(TypedDict):
    """A message that a page sends."""

    text: str


class ChatMessage(TypedDict):
    """A message to a room over the channel layer."""

    type: Literal["chat.message"]
    text: str


class Room(AsyncJsonWebsocketConsumer[Line]):
    groups = ["lobby"]

    async def receive_json(self, content: Line, **kwargs: Any) -> None:
        event: ChatMessage = {"type": "chat.message", "text": content["text"]}
        await self.channel_layer.group_send("lobby", event)

    async def chat_message(self, event: ChatMessage) -> None:
        await self.send_json({"text": event["text"]})


class CheckedRoom(Room):
    @classmethod
    async def decode_json(cls, text_data: str) -> Line:
        match json.loads(text_data):
            case {"text": str(text)}:
                return {"text": text}
            case other:
                raise ValueError(f"expected a text, got {other!r:.100}")


class Doorway(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        scope = cast(WebsocketScope, self.scope)
        cookies = scope.get("cookies", {})  # a dict[str, str]
        await self.accept()
        await self.send(f"{scope['path']} {sorted(cookies)}")

    async def websocket_disconnect(self, message: WebsocketDisconnect) -> None:
        self.reason = message.get("reason") or ""
        await super().websocket_disconnect(message)


class InLanguage(BaseMiddleware):
    def __init__(self, inner: ASGIApplication, language: str) -> None:
        super().__init__(inner)
        self.language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return await super().__call__({**scope, "language": self.language}, receive, send)


# begin routes
routes = [
    path("room/", Room.as_asgi()),
    path("checked/", AuthMiddlewareStack(CheckedRoom.as_asgi())),
    path("doorway/", InLanguage(Doorway.as_asgi(), "en")),
]
application = URLRouter(routes)
# end of the routes


async def announce(text: str) -> None:
    layer = get_channel_layer()
    assert layer is not None  # the settings have one
    event: ChatMessage = {"type": "chat.message", "text": text}
    await layer.group_send("lobby", event)


def members() -> int:
    layer = cast(InMemoryChannelLayer, get_channel_layer())
    return len(layer.groups.get("lobby", ()))


ContentT = TypeVar("ContentT")


class CountingConsumer(AsyncJsonWebsocketConsumer[ContentT]):
    """A consumer of a package; programs choose the type of the content."""

    received = 0

    async def receive_json(self, content: ContentT, **kwargs: Any) -> None:
        self.received += 1
        await self.receive_content(content)

    async def receive_content(self, content: ContentT) -> None:
        """Handle the content; for programs to override."""


class CountingRoom(CountingConsumer[Line]):
    async def receive_content(self, content: Line) -> None:
        await self.send_json({"text": content["text"], "number": self.received})
