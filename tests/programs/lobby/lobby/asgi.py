"""The application that a server runs."""

import os

from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lobby.settings")
# Before the import of the consumers, which import models.
django_application = get_asgi_application()

from . import consumers, middleware, routing  # noqa: E402 - the models are loaded just above

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(
            middleware.MemberMiddleware(URLRouter(routing.websocket_urlpatterns))
        ),
        "channel": ChannelNameRouter({"printer": consumers.Printer.as_asgi()}),
    }
)
