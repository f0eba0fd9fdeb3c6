"""The application that the server runs."""

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

http = get_asgi_application()

from .consumers import Desk, Room  # noqa: E402 - the models come after the set-up

__all__ = ["application"]

sockets = URLRouter([path("desk/", Desk.as_asgi()), path("room/", Room.as_asgi())])
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets)),
    }
)
