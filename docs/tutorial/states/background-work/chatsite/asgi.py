"""The application that a server runs."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# This loads the apps. The consumers import models, so it comes first.
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
)
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import re_path

from chat.jobs import StatsConsumer
from chat.routing import http_urlpatterns, websocket_urlpatterns

views = re_path("", django_application)
application = ProtocolTypeRouter(
    {
        "http": URLRouter([*http_urlpatterns, views]),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(websocket_urlpatterns),
                ends_with_login=True,
                revalidate_every=60,
            ),
            same_origin=True,
        ),
        "channel": ChannelNameRouter(
            {"chat-stats": StatsConsumer.as_asgi()}
        ),
    }
)
