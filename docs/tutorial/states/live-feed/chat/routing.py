"""The routes of consumers: for WebSockets and for HTTP."""

from channels.auth import AuthMiddlewareStack, login_required
from django.urls import path, re_path

from chat.consumers import ChatConsumer
from chat.feeds import FeedConsumer
from chat.names import ROOM_NAME
from chat.where import AsyncWhere, SyncWhere

websocket_urlpatterns = [
    re_path(
        rf"^ws/rooms/(?P<room>{ROOM_NAME})/$",
        login_required(ChatConsumer.as_asgi()),
    ),
    path("ws/where/async/", AsyncWhere.as_asgi()),
    path("ws/where/sync/", SyncWhere.as_asgi()),
]

# A stream cannot lead to another page, so strangers get status 401.
feed = login_required(FeedConsumer.as_asgi(), raise_exception=True)
http_urlpatterns = [path("feed/events/", AuthMiddlewareStack(feed))]
