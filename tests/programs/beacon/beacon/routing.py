"""The routes of WebSockets."""

from channels.routing import URLRouter
from django.urls import path

from . import consumers

websocket_urlpatterns = [
    path("ws/echo/", consumers.Echo.as_asgi()),
    path("ws/sync/", URLRouter([path("echo/", consumers.SyncEcho.as_asgi())])),
]
