"""A served site that tells what a client's handshake has cost, and what came of it."""

import asyncio
import time
from types import ModuleType
from typing import Any

import django
from django.conf import settings

urls = ModuleType("handshakes_urls")
vars(urls)["urlpatterns"] = []
settings.configure(
    SECRET_KEY="of-the-tests",
    INSTALLED_APPS=["channels"],
    ROOT_URLCONF=urls,
    ALLOWED_HOSTS=["127.0.0.1", "other.example"],
    # As behind a proxy that ends TLS.
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

from channels.generic.http import AsyncHttpConsumer  # noqa: E402 (after the settings)
from channels.generic.sse import AsyncSseConsumer  # noqa: E402 (the same)
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 (the same)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402 (the same)
from channels.sessions import CookieMiddleware  # noqa: E402 (the same)
from django.urls import path  # noqa: E402 (the same)

__all__ = ["application"]

#: Headers that frame a message or belong to the handshake, as a careless program passes them on.
FRAMING = [
    ("Transfer-Encoding", "chunked"),
    ("Content-Length", "500"),
    ("Connection", "keep-alive"),
    ("Upgrade", "h2c"),
    ("Keep-Alive", "timeout=5"),
    ("Sec-WebSocket-Accept", "forged"),
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("X-Own", "kept"),
]


class Pulse:
    """Measure how long the event loop serves nobody else."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.longest = 0.0

    def start(self) -> None:
        self.task = self.task or asyncio.create_task(self._beat())
        self.longest = 0.0

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


pulse = Pulse()


class Holds(AsyncHttpConsumer):
    """Answer with the longest hold in milliseconds since the last request."""

    async def handle(self, body: bytes) -> None:
        held = pulse.longest
        pulse.start()
        await self.send_response(200, f"{held * 1000:.1f}", headers=[])


class Cookies(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=str(len(self.scope["cookies"])))


class Accepts(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept(headers=FRAMING)


class Denies(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.deny(401, headers=FRAMING, body="Log in.")


class Events(AsyncSseConsumer):
    async def connect(self) -> None:
        await self.send_event("first")
        await self.close()


class Polls(AsyncHttpConsumer):
    groups = ["doors"]
    headers = [("Content-Type", "text/plain")]

    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=self.headers)
        assert self.channel_layer is not None
        await self.channel_layer.group_send("doors", {"type": "news"})

    async def news(self, event: Any) -> None:
        await self.send_body(b"news")


class OwnPolls(Polls):
    headers = [("Cache-Control", "private")]


application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("holds/", Holds.as_asgi()),
                path("events/", Events.as_asgi()),
                path("poll/", Polls.as_asgi()),
                path("own/", OwnPolls.as_asgi()),
            ]
        ),
        "websocket": CookieMiddleware(
            URLRouter(
                [
                    path("cookies/", Cookies.as_asgi()),
                    path("accepts/", Accepts.as_asgi()),
                    path("denies/", Denies.as_asgi()),
                    path("own/", AllowedHostsOriginValidator(Accepts.as_asgi(), same_origin=True)),
                ]
            )
        ),
    }
)
