"""The routes of WebSockets."""

from channels.auth import login_required
from django.urls import path, re_path

from chat.consumers import ChatConsumer
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
