"""A site whose connections are all busy when its server is told to stop."""

import asyncio
import sys
import time
from types import ModuleType
from typing import Any

import django
from django.conf import settings

urls = ModuleType("stopping_urls")
vars(urls)["urlpatterns"] = []
settings.configure(
    SECRET_KEY="of-the-tests",
    INSTALLED_APPS=["channels"],
    ROOT_URLCONF=urls,
    ALLOWED_HOSTS=["*"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    CHANNELS_DRAIN_TIMEOUT=30,
)
django.setup()

from channels.generic.http import AsyncHttpConsumer  # noqa: E402 (after the settings)
from channels.generic.sse import AsyncSseConsumer  # noqa: E402 (the same)
from channels.generic.websocket import (  # noqa: E402 (the same)
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer  # noqa: E402 (the same)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from django.urls import path  # noqa: E402 (the same)

__all__ = ["application"]


def tell(text: str) -> None:
    """Print a line that the test reads."""
    print(text, file=sys.stderr, flush=True)


class Working(AsyncWebsocketConsumer):
    """Handles a frame until the server is told to stop, and a little longer."""

    groups = ["all"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send("begun")
        while not self._channels_connection.is_drained:  # noqa: ASYNC110 - there is no event, on purpose
            await asyncio.sleep(0.01)
        tell("draining")
        # In the meantime, the test tries to connect.
        await asyncio.sleep(float(text_data or 0))
        await self.channel_layer.group_send("all", {"type": "work.done"})
        await self.send("done")

    async def work_done(self, event: dict[str, Any]) -> None:
        tell("handled what came over the layer")

    async def disconnect(self, code: int) -> None:
        tell(f"working: disconnect {code}")


class Blocking(WebsocketConsumer):
    """The same, in a thread."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send("begun")
        while not self._channels_connection.is_drained:
            time.sleep(0.01)
        self.send("done")

    def disconnect(self, code: int) -> None:
        tell(f"blocking: disconnect {code}")


class Feed(AsyncSseConsumer):
    """A stream that does not end by itself."""

    async def connect(self) -> None:
        await self.send_event("hello")

    async def disconnect(self) -> None:
        tell("feed: disconnect")


class Poll(AsyncHttpConsumer):
    """A response that is held open."""

    async def handle(self, body: bytes) -> None:
        await self.send_headers(flush=True)

    async def disconnect(self) -> None:
        tell("poll: disconnect")


assert get_channel_layer() is not None
application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [path("working/", Working.as_asgi()), path("blocking/", Blocking.as_asgi())]
        ),
        "http": URLRouter([path("feed/", Feed.as_asgi()), path("poll/", Poll.as_asgi())]),
    }
)
