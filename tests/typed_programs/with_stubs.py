"""A program that was typed with the stubs of types-channels; it checks with them, too.

Checked with types-channels 4.3.0.20260518 and django-stubs 6.1.2, by `mypy --strict`. It imports
the stubs' private names as programs do that need a name for what the stubs declare.
"""

# pyright: standard, reportUnnecessaryTypeIgnoreComment=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import ParseResult

from channels.auth import AuthMiddleware, AuthMiddlewareStack, UserLazyObject, get_user, login
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import ChannelFull, DenyConnection, StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer
from channels.middleware import BaseMiddleware
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddlewareStack
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from channels.worker import Worker
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.asgi import get_asgi_application
from django.urls import path

if TYPE_CHECKING:
    from collections.abc import Callable

    from asgiref.typing import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPDisconnectEvent,
        HTTPRequestEvent,
        WebSocketConnectEvent,
        WebSocketDisconnectEvent,
        WebSocketReceiveEvent,
    )
    from channels.consumer import _ChannelScope
    from channels.routing import _ExtendedURLPattern
    from channels.utils import _ChannelApplication


@database_sync_to_async
def find_room(slug: str, create: bool = False) -> dict[str, Any]:
    return {"slug": slug, "created": create}


def room_of(scope: _ChannelScope) -> str:
    slug: str = scope["url_route"]["kwargs"]["slug"]
    return slug


class Chat(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "default"
    groups: list[str] = ["everyone"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.room = ""

    async def websocket_connect(self, message: WebSocketConnectEvent) -> None:
        await super().websocket_connect(message)

    async def connect(self) -> None:
        user: UserLazyObject | None = self.scope["user"]
        if user is None or not user.is_authenticated:
            await self.close(code=4003, reason="log in first")
            return
        self.room = room_of(self.scope)
        room = await find_room(self.room, create=True)
        await self.channel_layer.group_add(room["slug"], self.channel_name)
        await self.accept(subprotocol="chat.v1", headers=[("x-room", self.room)])

    async def dispatch(self, message: dict[str, Any]) -> None:
        await super().dispatch(message)

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        try:
            await self.channel_layer.group_send(
                self.room, {"type": "chat.message", "text": content["text"]}
            )
        except ChannelFull:
            await self.send_json({"error": "busy"})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send_json({"text": event["text"]})

    async def send_json(self, content: Any, close: bool = False) -> None:
        await super().send_json({"version": 1, **content}, close=close)

    @classmethod
    async def decode_json(cls, text_data: str) -> dict[str, Any]:
        return cast(dict[str, Any], await super().decode_json(text_data))

    async def websocket_disconnect(self, message: WebSocketDisconnectEvent) -> None:
        await super().websocket_disconnect(message)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)


class Echo(AsyncWebsocketConsumer):
    async def websocket_receive(self, message: WebSocketReceiveEvent) -> None:
        await super().websocket_receive(message)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)

    async def send(  # type: ignore[override]
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> None:
        await super().send(text_data=text_data, bytes_data=bytes_data, close=close)


class SyncEcho(WebsocketConsumer):
    def connect(self) -> None:
        if self.scope["path"].endswith("closed/"):
            raise DenyConnection
        self.accept()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)

    def disconnect(self, code: int) -> None:
        raise StopConsumer


class SyncChat(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        return super().encode_json(content)


class Poll(AsyncHttpConsumer):
    async def http_request(self, message: HTTPRequestEvent) -> None:
        await super().http_request(message)

    async def handle(self, body: bytes) -> None:
        await self.send_headers(status=200, headers=[(b"content-type", b"text/plain")])
        await self.send_body(body, more_body=True)
        await self.send_body(b"")

    async def http_disconnect(self, message: HTTPDisconnectEvent) -> None:
        await super().http_disconnect(message)


class Jobs(AsyncConsumer):
    async def job_run(self, event: dict[str, Any]) -> None:
        await self.send({"type": "job.done", "number": event["number"]})

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)


class SyncJobs(SyncConsumer):
    def job_run(self, event: dict[str, Any]) -> None:
        self.send({"type": "job.done", "number": event["number"]})


class Timing(BaseMiddleware):
    def __init__(self, inner: _ChannelApplication) -> None:
        super().__init__(inner)

    async def __call__(
        self, scope: _ChannelScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> _ChannelApplication:
        async def timed_send(event: ASGISendEvent) -> None:
            await send(event)

        return await super().__call__(scope, receive, timed_send)


class Users(AuthMiddleware):
    async def resolve_scope(self, scope: _ChannelScope) -> None:
        await super().resolve_scope(scope)
        user: AbstractBaseUser | AnonymousUser = await get_user(scope)
        if not isinstance(user, AnonymousUser):
            await login(scope, user)


class Origins(OriginValidator):
    def validate_origin(self, parsed_origin: ParseResult | None) -> bool:
        return parsed_origin is None or super().validate_origin(parsed_origin)


class CountingLayer(InMemoryChannelLayer):
    sent = 0

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        self.sent += 1
        await super().send(channel, message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await super().group_send(group, message)


class NoLayer(BaseChannelLayer):
    def __init__(self, expiry: int = 60, capacity: int = 100) -> None:
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity={"jobs": 10})

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        self.require_valid_channel_name(channel)

    async def receive(self, channel: str) -> dict[str, Any]:
        return {"type": "job.run"}

    async def new_channel(self) -> str:
        return "jobs"


routes = cast(
    "list[_ExtendedURLPattern | URLRouter]",
    [
        path("chat/<slug:slug>/", cast(Any, Chat.as_asgi())),
        path("echo/", cast(Any, Timing(Echo.as_asgi()))),
        path("sync/", cast(Any, SyncEcho.as_asgi())),
        path("sync-chat/", cast(Any, SyncChat.as_asgi())),
    ],
)
inner: _ChannelApplication = AuthMiddlewareStack(URLRouter(routes))
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(inner),
        "channel": ChannelNameRouter({"jobs": Jobs.as_asgi(), "sync-jobs": SyncJobs.as_asgi()}),
    }
)
served: ASGI3Application = application
sessions: _ChannelApplication = SessionMiddlewareStack(Users(URLRouter(routes)))
strict: OriginValidator = Origins(CookieMiddleware(sessions), ["example.com"])
SERVED_BY = (Chat.as_asgi().consumer_initkwargs, Poll.as_asgi())


async def tell(room: str, text: str) -> None:
    layer = get_channel_layer()
    assert layer is not None
    message: dict[str, Any] = {"type": "chat.message", "text": text}
    await layer.group_send(room, message)
    answer: dict[str, Any] = await layer.receive(await layer.new_channel())
    await layer.send("jobs", answer)


async def try_it() -> dict[str, Any]:
    socket = WebsocketCommunicator(inner, "/echo/", subprotocols=["chat.v1"])
    connected, detail = await socket.connect(timeout=5)
    assert connected
    assert detail is None
    await socket.send_to(text_data="hello")
    frame: str | bytes = await socket.receive_from(timeout=5)
    assert frame == "hello"
    assert await socket.receive_nothing()
    await socket.disconnect(code=1000)

    stranger = WebsocketCommunicator(inner, "/chat/lobby/")
    assert await stranger.connect(timeout=5) == (False, 4003)

    talker = WebsocketCommunicator(inner, "/sync-chat/")
    await talker.connect(timeout=5)
    await talker.send_json_to({"text": "hello"})
    assert await talker.receive_json_from(timeout=5) == {"text": "hello"}
    await talker.disconnect()

    page = HttpCommunicator(Poll.as_asgi(), "POST", "/poll/", b"?", [(b"host", b"example.com")])
    response = await page.get_response(timeout=5)
    status: int = response["status"]
    assert status == 200
    assert response["body"] == b"?"

    # asgiref has no types for its constructor.
    communicate = cast("Callable[..., ApplicationCommunicator]", ApplicationCommunicator)
    jobs = communicate(application, {"type": "channel", "channel": "jobs"})
    await jobs.send_input({"type": "job.run", "number": 1})
    return await jobs.receive_output(timeout=5)


def work() -> Worker:
    return Worker(application, ["jobs"], CountingLayer(), max_applications=10)
