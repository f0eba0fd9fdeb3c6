"""The routes of WebSockets."""

from django.urls import path

from . import consumers

websocket_urlpatterns = [
    path("ws/<slug:action>/<slug:answer>/", consumers.Turnstile.as_asgi()),
]
