"""A room over WebSockets, with async and sync consumers, and a page with the process's state."""

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "faults.settings")
django_application = get_asgi_application()

from asgiref.sync import async_to_sync  # noqa: E402 (the apps come first)
from channels.exceptions import ChannelFull  # noqa: E402 (the same)
from channels.generic.websocket import (  # noqa: E402 (the same)
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer  # noqa: E402 (the same)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from django.http import HttpRequest, JsonResponse  # noqa: E402 (the same)
from django.urls import path  # noqa: E402 (the same)

from channels_layers_redis import RedisChannelLayer as OurRedisChannelLayer  # noqa: E402 (the same)
from faults.settings import MAX_PENDING, RESUMES  # noqa: E402 (the same)

ROOM = "room"


def position(scope: Any) -> str:
    """Return the position of the last message that a page has."""
    return str(scope["query_string"].decode())


class AsyncVisitor(AsyncWebsocketConsumer, max_pending=MAX_PENDING):
    groups = [] if RESUMES else [ROOM]
    connected: set[int] = set()

    async def connect(self) -> None:
        self.connected.add(id(self))
        if RESUMES:
            await self.join_group(ROOM, after=position(self.scope))
        await self.accept()
        await self.send(json.dumps({"channel": self.channel_name}))

    async def disconnect(self, code: int) -> None:
        self.connected.discard(id(self))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        asked = json.loads(text_data or "")
        if "say" in asked:
            await self.channel_layer.group_send(ROOM, {"type": "room.said", "said": asked["say"]})
        await self.send(json.dumps({"done": asked}))

    async def room_said(self, event: Any) -> None:
        await self.send(json.dumps(event))

    async def room_hold(self, event: Any) -> None:
        await asyncio.sleep(event["said"])


class SyncVisitor(WebsocketConsumer, max_pending=MAX_PENDING):
    groups = [] if RESUMES else [ROOM]
    connected: set[int] = set()

    def connect(self) -> None:
        self.connected.add(id(self))
        if RESUMES:
            self.join_group(ROOM, after=position(self.scope))
        self.accept()
        self.send(json.dumps({"channel": self.channel_name}))

    def disconnect(self, code: int) -> None:
        self.connected.discard(id(self))

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        asked = json.loads(text_data or "")
        if "say" in asked:
            message = {"type": "room.said", "said": asked["say"]}
            async_to_sync(self.channel_layer.group_send)(ROOM, message)
        self.send(json.dumps({"done": asked}))

    def room_said(self, event: Any) -> None:
        self.send(json.dumps(event))


async def state(request: HttpRequest) -> JsonResponse:
    """Return what could accumulate in this process."""
    return JsonResponse(
        {
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "resident": resident(),
            "connected": len(AsyncVisitor.connected) + len(SyncVisitor.connected),
            "layer": held(get_channel_layer()),
        }
    )


async def send(request: HttpRequest) -> JsonResponse:
    """Send to the room or to one channel, as other code of a site would."""
    asked = json.loads(request.body)
    layer: Any = get_channel_layer()
    sent = full = 0
    for said in asked["said"]:
        message = {"type": asked["type"], "said": said, "more": "x" * asked.get("more", 0)}
        try:
            if asked.get("channel"):
                await layer.send(asked["channel"], message)
            else:
                await layer.group_send(ROOM, message)
            sent += 1
        except ChannelFull:
            full += 1
    return JsonResponse({"sent": sent, "full": full})


def resident() -> int:
    """Return the resident memory of this process, in kilobytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def held(layer: Any) -> dict[str, int]:
    """Return how much a layer keeps in this process, by kind."""
    if isinstance(layer, OurRedisChannelLayer):
        mailboxes = layer._shared.mailboxes.by_name.values()
        links = layer._links.values()
        return {
            "channels": len(mailboxes),
            "waiting": sum(len(mailbox.messages) for mailbox in mailboxes),
            "groups": sum(len(link._groups) for link in links),
        }
    if hasattr(layer, "receive_buffer"):
        waiting = sum(queue.qsize() for queue in layer.receive_buffer.values())
        return {"channels": len(layer.receive_buffer), "waiting": waiting}
    inner = layer._get_layer()
    return {
        "channels": len(inner.channels),
        "waiting": sum(queue.qsize() for queue in inner.channels.values()),
        "groups": len(inner.groups),
        "subscribed": sum(len(shard._subscribed_to) for shard in inner._shards),
    }


urlpatterns = [path("state/", state), path("send/", send)]

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter(
            [path("async/", AsyncVisitor.as_asgi()), path("sync/", SyncVisitor.as_asgi())]
        ),
    }
)
