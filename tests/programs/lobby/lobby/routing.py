"""The routes of WebSockets."""

from django.urls import path, re_path

from . import consumers

websocket_urlpatterns = [
    re_path(r"^ws/room/(?P<room>\w+)/$", consumers.Room.as_asgi()),
    path("ws/async-room/<slug:room>/", consumers.AsyncRoom.as_asgi()),
    path("ws/count/", consumers.Counter.as_asgi()),
]
