"""A site's sockets in the style of Channels 2, which run unchanged."""

import json
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import async_to_sync
from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import AnonymousUser, User
from django.urls import re_path


class TokenAuthMiddleware:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, scope: dict[str, Any]) -> Any:
        return TokenAuthInstance(dict(scope), self.inner)


class TokenAuthInstance:
    def __init__(self, scope: dict[str, Any], inner: Any) -> None:
        self.scope = scope
        self.inner = inner

    async def __call__(self, receive: Any, send: Any) -> None:
        [name] = parse_qs(self.scope["query_string"].decode()).get("token", [""])
        self.scope["user"] = await self.find_user(name)
        await self.inner(self.scope)(receive, send)

    @database_sync_to_async
    def find_user(self, token: str) -> Any:
        return User.objects.filter(username=token).first() or AnonymousUser()


class ChatConsumer(WebsocketConsumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.room = self.scope["url_route"]["kwargs"]["room"]

    def connect(self) -> None:
        async_to_sync(self.channel_layer.group_add)(self.room, self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.room, self.channel_name)

    def receive(self, text_data: str) -> None:  # type: ignore[override] # only text, as many programs have it
        line = {"type": "chat.line", "from": str(self.scope["user"]), "text": text_data}
        async_to_sync(self.channel_layer.group_send)(self.room, line)

    def chat_line(self, event: dict[str, Any]) -> None:
        self.send(text_data=json.dumps([event["from"], event["text"]]))


# begin routing
chat: Any = ChatConsumer

application = ProtocolTypeRouter(
    {
        "websocket": TokenAuthMiddleware(
            AuthMiddlewareStack(URLRouter([re_path(r"^ws/(?P<room>\w+)/$", chat)]))
        )
    }
)
# end of routing
