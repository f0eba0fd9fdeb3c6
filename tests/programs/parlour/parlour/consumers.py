"""Consumers of Channels 2, whose instances are created with the scope."""

import json

from asgiref.sync import async_to_sync
from channels.auth import get_user, login, logout
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import AcceptConnection, ChannelFull, DenyConnection, StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer
from channels.utils import await_many_dispatch
from django.contrib.auth.models import User

from .models import Thumbnail


class ChatConsumer(WebsocketConsumer):
    """A room. Its name is known from the start, since the scope is."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.room_name = self.scope["url_route"]["kwargs"]["room"]
        self.room_group_name = "chat_%s" % self.room_name

    def connect(self):
        async_to_sync(self.channel_layer.group_add)(self.room_group_name, self.channel_name)
        self.accept()

    def disconnect(self, close_code):
        async_to_sync(self.channel_layer.group_discard)(self.room_group_name, self.channel_name)

    def receive(self, text_data):
        message = json.loads(text_data)["message"]
        name = self.scope["user"].username or "stranger"
        async_to_sync(self.channel_layer.group_send)(
            self.room_group_name,
            {"type": "chat_message", "message": "%s: %s" % (name, message)},
        )

    def chat_message(self, event):
        self.send(text_data=json.dumps({"message": event["message"]}))


class AsyncChatConsumer(AsyncWebsocketConsumer):
    """The same room in the other colour."""

    def __init__(self, scope):
        super().__init__(scope)
        self.room_group_name = "chat_%s" % self.scope["url_route"]["kwargs"]["room"]

    async def connect(self):
        await self.channel_layer.group_add(self.room_group_name, self.channel_name)
        await self.accept()

    async def disconnect(self, close_code):
        await self.channel_layer.group_discard(self.room_group_name, self.channel_name)

    async def receive(self, text_data):
        message = json.loads(text_data)["message"]
        name = self.scope["user"].username or "stranger"
        await self.channel_layer.group_send(
            self.room_group_name,
            {"type": "chat_message", "message": "%s: %s" % (name, message)},
        )

    async def chat_message(self, event):
        await self.send(text_data=json.dumps({"message": event["message"]}))


class NoticeConsumer(JsonWebsocketConsumer):
    """Everybody hears what anybody posts, over a layer of its own."""

    groups = ["broadcast"]
    channel_layer_alias = "notices"

    def receive_json(self, content):
        async_to_sync(self.channel_layer.group_send)(
            "broadcast", {"type": "notice.posted", "text": content["text"]}
        )

    def notice_posted(self, event):
        self.send_json({"text": event["text"]})


class GuestConsumer(AsyncJsonWebsocketConsumer):
    """Accepts only visitors with a seat, and knows who they are."""

    async def connect(self):
        if self.scope["user"].is_anonymous:
            raise DenyConnection()
        raise AcceptConnection()

    async def receive_json(self, content):
        if content["do"] == "tell":
            user = await get_user(self.scope)
            await self.send_json({"user": user.username, "greeting": self.scope.get("greeting")})
        elif content["do"] == "remember":
            self.scope["session"]["drink"] = content["drink"]
            await database_sync_to_async(self.scope["session"].save)()
            await self.send_json({"remembered": content["drink"]})
        elif content["do"] == "leave":
            await logout(self.scope)
            await self.send_json({"user": self.scope["user"].username})
            await self.close()


class DoorConsumer(AsyncHttpConsumer):
    """Logs in visitors who know the password, over HTTP."""

    async def handle(self, body):
        if body != b"word=sesame":
            await self.send_response(403, b"no")
            return
        user = await database_sync_to_async(User.objects.get)(username="ann")
        await login(self.scope, user)
        await database_sync_to_async(self.scope["session"].save)()
        await self.send_response(
            200, user.username.encode("utf-8"), headers=[(b"Content-Type", b"text/plain")]
        )


class LongPollConsumer(AsyncHttpConsumer):
    """Holds a request until somebody says something in the room."""

    async def handle(self, body):
        room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add("chat_%s" % room, self.channel_name)
        await self.send_headers(headers=[(b"Content-Type", b"application/json")])
        # The headers go out with it, and the response stays open.
        await self.send_body(b"", more_body=True)

    async def chat_message(self, event):
        await self.send_body(json.dumps({"message": event["message"]}).encode("utf-8"))


class EchoConsumer(AsyncConsumer):
    """Speaks the protocol's own messages."""

    async def websocket_connect(self, event):
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, event):
        await self.send({"type": "websocket.send", "text": event["text"]})

    async def websocket_disconnect(self, event):
        raise StopConsumer()


class SyncEchoConsumer(SyncConsumer):
    """Does so in a thread."""

    def __init__(self, scope):
        super().__init__(scope)
        self.path = self.scope["path"]

    def websocket_connect(self, event):
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, event):
        self.send({"type": "websocket.send", "text": self.path + event["text"]})

    def websocket_disconnect(self, event):
        raise StopConsumer()


class AlbumConsumer(JsonWebsocketConsumer):
    """Has the worker create thumbnails, and sends them when they are ready."""

    def receive_json(self, content):
        try:
            async_to_sync(self.channel_layer.send)(
                "thumbnails",
                {
                    "type": "thumbnail.make",
                    "picture": content["picture"],
                    "reply_channel": self.channel_name,
                },
            )
        except ChannelFull:
            self.send_json({"error": "the worker has too much to do"})

    def thumbnail_made(self, event):
        self.send_json({"thumbnail": event["thumbnail"]})


class ThumbnailConsumer(SyncConsumer):
    """The worker's part of it: it serves a channel, and no connection."""

    def thumbnail_make(self, message):
        made = Thumbnail.objects.create(picture="small-%s" % message["picture"])
        async_to_sync(self.channel_layer.send)(
            message["reply_channel"], {"type": "thumbnail.made", "thumbnail": made.picture}
        )


class TickerConsumer:
    """Written by hand, on what consumers are made of."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        self.send = send
        layer = get_channel_layer()
        name = await layer.new_channel()
        await layer.group_add("ticker", name)

        async def receive_tick():
            return await layer.receive(name)

        try:
            await await_many_dispatch([receive, receive_tick], self.dispatch)
        except StopConsumer:
            pass
        finally:
            await layer.group_discard("ticker", name)

    async def dispatch(self, message):
        if message["type"] == "websocket.connect":
            await self.send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await get_channel_layer().group_send(
                "ticker", {"type": "tick", "text": message["text"]}
            )
        elif message["type"] == "tick":
            await self.send({"type": "websocket.send", "text": "tick " + message["text"]})
        elif message["type"] == "websocket.disconnect":
            raise StopConsumer()


def whoami(scope):
    """Return an application as a function that returns another."""

    async def inner(receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["user"].username or "stranger"})
        await send({"type": "websocket.close", "code": 1000})

    return inner
