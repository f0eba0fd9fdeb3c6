"""Routers, nested and not."""

from typing import Any

from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.urls import path, re_path


class Where(AsyncWebsocketConsumer):
    """Send the arguments that the routes have matched."""

    async def connect(self) -> None:
        await self.accept()
        route = self.scope["url_route"]
        await self.send(text_data=f"{route['args']} {sorted(route['kwargs'].items())}")


# begin nested
league = URLRouter(
    [
        path("games/<int:game>/", Where.as_asgi()),
        path("table/", Where.as_asgi(), {"full": True}),
    ]
)

routes = URLRouter(
    [
        path("leagues/<slug:league>/", league),
        re_path(r"^clubs/(\w+)/$", Where.as_asgi()),
    ]
)
# end of nested


class Thumbnails(AsyncConsumer):
    """Do work that arrives over a channel."""

    done: list[str] = []

    async def thumbnail_make(self, message: dict[str, Any]) -> None:
        self.done.append(message["path"])


# begin channels
channels = ChannelNameRouter({"thumbnails": Thumbnails.as_asgi()})
# end of channels


# begin lifespan
pools: list[str] = []


async def open_pool() -> None:
    pools.append("a pool of connections")


def close_pool() -> None:
    pools.clear()


application = ProtocolTypeRouter(
    {"websocket": routes},
    on_startup=[open_pool],
    on_shutdown=[close_pool],
)
# end of lifespan
