"""Where the WebSocket about the account goes."""

from django.urls import path

from accounts.consumers import AccountConsumer

__all__ = ["websocket_urlpatterns"]

websocket_urlpatterns = [
    path("ws/account/", AccountConsumer.as_asgi()),
]
