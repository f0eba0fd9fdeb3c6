"""The route of the account WebSocket."""

from django.urls import path

from accounts.consumers import AccountConsumer

__all__ = ["websocket_urlpatterns"]

websocket_urlpatterns = [
    path("ws/account/", AccountConsumer.as_asgi()),
]
