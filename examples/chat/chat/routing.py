"""The routes of consumers, for WebSockets and for HTTP.

See docs/topics/routing.md, and docs/topics/access.md for who may connect.
"""

from collections.abc import Callable
from typing import Any

from channels.auth import AuthMiddlewareStack, login_required
from django.urls import path, re_path

from chat.consumers import ChatConsumer, RoomsConsumer
from chat.feeds import FeedConsumer, PollConsumer
from chat.names import ROOM_NAME
from chat.parrot import ParrotConsumer

__all__ = ["http_urlpatterns", "websocket_urlpatterns"]

websocket_urlpatterns = [
    path("ws/rooms/", login_required(RoomsConsumer.as_asgi())),
    re_path(rf"^ws/rooms/(?P<room>{ROOM_NAME})/$", login_required(ChatConsumer.as_asgi())),
]


def for_members(application: Callable[..., Any]) -> Any:
    """Allow only members, and respond to others with status 401."""
    return AuthMiddlewareStack(login_required(application, raise_exception=True))


http_urlpatterns = [
    path("feed/events/", for_members(FeedConsumer.as_asgi())),
    path("parrot/events/", for_members(ParrotConsumer.as_asgi())),
    re_path(rf"^rooms/(?P<room>{ROOM_NAME})/poll/$", for_members(PollConsumer.as_asgi())),
]
