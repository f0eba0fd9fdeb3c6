"""The application that a server runs: consumers, and Django's views."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# This loads the apps, so it comes before any import that needs models.
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402 (the apps come first)
from channels.routing import (  # noqa: E402 (the same)
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402 (the same)
from django.urls import re_path  # noqa: E402 (the same)

from accounts.routing import websocket_urlpatterns as account_urlpatterns  # noqa: E402 (the same)
from chat.jobs import STATS, StatsConsumer  # noqa: E402 (the same)
from chat.routing import http_urlpatterns  # noqa: E402 (the same)
from chat.routing import websocket_urlpatterns as chat_urlpatterns  # noqa: E402 (the same)

# Requests that no consumer handles go to Django's views.
everything_else = re_path(r"", django_application)  # type: ignore[arg-type] # stubs know views only
http = URLRouter([*http_urlpatterns, everything_else])
websockets = URLRouter([*account_urlpatterns, *chat_urlpatterns])

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(
            # No signal is sent when a session expires or when SQL changes a row. So each WebSocket
            # also checks its login once a minute.
            AuthMiddlewareStack(websockets, ends_with_login=True, revalidate_every=60),
            # Only pages of this very site, and not of another port or by plain HTTP.
            same_origin=True,
        ),
        # Not for a server: `python manage.py runworker chat-stats` uses this.
        "channel": ChannelNameRouter({STATS: StatsConsumer.as_asgi()}),
    }
)
