"""The site that `hostile.memory` attacks; it also runs on other releases of Channels."""

import asyncio
import json
import os
import time
from typing import Any

from django.conf import settings

# The options of the consumers, `{"inflating": {...}, "silent": {...}}`, and `patience`: the seconds
# that a client may read nothing.
OPTIONS: dict[str, Any] = json.loads(os.environ.get("HOSTILE_OPTIONS", "{}"))

settings.configure(
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    INSTALLED_APPS=[],
    SECRET_KEY="of a site that a test runs",
)

import django  # noqa: E402 (the settings come first)

django.setup()

from channels.generic.websocket import (  # noqa: E402 (the same)
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
)
from channels.layers import get_channel_layer  # noqa: E402 (the same)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from django.urls import path  # noqa: E402 (the same)

_GROUP = "silent"

if "patience" in OPTIONS:
    from channels_core.generic._websocket import connection

    for name in ("_PATIENCE", "_ABORT_AFTER"):  # a test must not wait
        setattr(connection, name, OPTIONS["patience"])


class Inflating(AsyncJsonWebsocketConsumer, **OPTIONS.get("inflating", {})):
    """Takes large frames, and answers with their length."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(len(content))


class Silent(AsyncWebsocketConsumer, **OPTIONS.get("silent", {})):
    """Sends what its group gets to a client that never reads."""

    groups = [_GROUP]
    members = 0

    async def connect(self) -> None:
        Silent.members += 1
        await self.accept()

    async def disconnect(self, code: int) -> None:
        Silent.members -= 1

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["said"])


class Control(AsyncWebsocketConsumer):
    """Has the group get messages, and tells how long the event loop was held up."""

    longest = 0.0
    watching: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        if Control.watching is None:
            Control.watching = asyncio.create_task(self.watch())
        await self.accept()

    @classmethod
    async def watch(cls) -> None:
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.005)
            cls.longest = max(cls.longest, time.perf_counter() - begin - 0.005)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        asked = json.loads(text_data or "")
        layer = get_channel_layer()
        assert layer is not None
        for _ in range(asked["messages"]):
            said = os.urandom(asked["size"] // 2).hex()
            await layer.group_send(_GROUP, {"type": "room.said", "said": said})
            await asyncio.sleep(0.002)
        await self.send(
            text_data=json.dumps({"longest": Control.longest, "members": Silent.members})
        )
        Control.longest = 0.0


application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                path("inflating/", Inflating.as_asgi()),
                path("silent/", Silent.as_asgi()),
                path("control/", Control.as_asgi()),
            ]
        )
    }
)
