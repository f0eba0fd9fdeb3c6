"""Routing and middleware around the consumers, and their types."""

from typing import Any, assert_type

from channels.auth import AuthMiddleware, AuthMiddlewareStack, get_user, login, logout
from channels.consumer import get_handler_name
from channels.db import aclose_old_connections
from channels.layers import (
    BaseChannelLayer,
    ChannelLayerManager,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
)
from channels.middleware import BaseMiddleware
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack
from channels.signals import consumer_started
from channels.typing import AnyScope, ASGIApplication, Message, Receive, Scope, Send
from channels.utils import name_that_thing
from channels.worker import Worker
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.asgi import get_asgi_application
from django.dispatch import Signal
from django.urls import URLPattern, path, re_path

from channels_core.applications import ConsumerApplication

from .consumers import Board, Doorkeeper, Notes, Scores, SyncBoard, SyncScores, Untyped, Watcher

__all__ = ["application"]


class Clock(BaseMiddleware):
    def __init__(self, inner: ASGIApplication, zone: str) -> None:
        super().__init__(inner)
        self.zone = zone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        async def timed_send(message: Message) -> None:
            await send({**message, "zone": self.zone})

        return await super().__call__(dict(scope, zone=self.zone), receive, timed_send)


class Guests(AuthMiddleware):
    async def resolve_scope(self, scope: AnyScope) -> None:
        await super().resolve_scope(scope)
        scope["is_guest"] = isinstance(await get_user(scope), AnonymousUser)


async def plain(scope: Scope, receive: Receive, send: Send) -> Any:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


sockets = [
    path("board/<slug:game>/", Board.as_asgi()),
    path("untyped/", Untyped.as_asgi(), name="untyped"),
    path("sync/", AuthMiddlewareStack(SyncBoard.as_asgi())),
    path("watch/", SessionMiddlewareStack(Watcher.as_asgi())),
    path("door/", Clock(Doorkeeper.as_asgi(), "UTC")),
    re_path(r"^more/", URLRouter([path("again/", Watcher.as_asgi())])),
    re_path(r"", plain),
]
assert_type(sockets, list[URLPattern])
assert_type(Board.as_asgi(), ConsumerApplication)
assert_type(Board.as_asgi().consumer_initkwargs, dict[str, Any])
assert_type(AuthMiddlewareStack(URLRouter(sockets)), CookieMiddleware)
assert_type(AllowedHostsOriginValidator(URLRouter(sockets)), OriginValidator)

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("notes/", Notes.as_asgi()),
                re_path(r"", get_asgi_application()),  # type: ignore[arg-type] # Django's says None
            ]
        ),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(sockets))),
        "channel": ChannelNameRouter({"scores": Scores.as_asgi(), "sync-scores": SyncScores}),
    }
)
assert_type(application.application_mapping, dict[str, ASGIApplication])

assert_type(get_channel_layer(), BaseChannelLayer | None)
assert_type(channel_layers, ChannelLayerManager)
assert_type(consumer_started, Signal)
assert_type(get_handler_name({"type": "move.made"}), str)
assert_type(name_that_thing(Board), str)


async def drive(scope: Scope, user: AbstractBaseUser) -> None:
    layer = InMemoryChannelLayer(expiry=5, channel_capacity={"scores": 10})
    assert_type(await layer.new_channel(), str)
    await layer.send("scores", {"type": "score.add"})
    assert_type(await layer.receive("scores"), dict[str, Any])
    await layer.group_add("boards", "specific.1")
    assert_type(await get_user(scope), AbstractBaseUser | AnonymousUser)
    await login(scope, user)
    await logout(scope)
    await aclose_old_connections()
    worker = Worker(application, ["scores"], layer)
    assert_type(worker.channels, list[str])
    assert_type(SessionMiddleware(Board.as_asgi()).inner, ASGIApplication)
