"""A site that refuses every handshake, each in another way."""

from types import ModuleType
from typing import Any

import django
from django.conf import settings

urls = ModuleType("refusing_urls")
vars(urls)["urlpatterns"] = []
settings.configure(
    SECRET_KEY="of-the-tests",
    INSTALLED_APPS=["channels"],
    ROOT_URLCONF=urls,
    ALLOWED_HOSTS=["127.0.0.1"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"all": {"class": "logging.StreamHandler"}},
        "loggers": {"django.channels": {"handlers": ["all"], "propagate": False}},
    },
)
django.setup()

from channels.generic.websocket import (  # noqa: E402 (after the settings)
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402 (the same)
from django.urls import path  # noqa: E402 (the same)

__all__ = ["application"]


class Denies(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.deny(401, body="Log in.")


class SyncDenies(WebsocketConsumer):
    def connect(self) -> None:
        self.deny(401, body="Log in.")


async def itself(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"Log in."})


by_itself: Any = itself


application = ProtocolTypeRouter(
    {
        "websocket": AllowedHostsOriginValidator(
            URLRouter(
                [
                    path("async/", Denies.as_asgi()),
                    path("sync/", SyncDenies.as_asgi()),
                    path("itself/", by_itself),
                ]
            )
        )
    }
)
