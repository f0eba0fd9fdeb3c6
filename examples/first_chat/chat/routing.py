"""The routes of WebSockets."""

from django.urls import re_path

from chat.consumers import ChatConsumer
from chat.names import ROOM_NAME

websocket_urlpatterns = [
    re_path(
        rf"^ws/rooms/(?P<room>{ROOM_NAME})/$", ChatConsumer.as_asgi()
    ),
]
