"""The application that a server runs: consumers, and Django's views.

See docs/topics/routing.md and docs/topics/security.md.
"""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# This loads the apps, so it comes before any import that needs models.
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
)
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import re_path

from accounts.routing import websocket_urlpatterns as account_urlpatterns
from chat.jobs import STATS, StatsConsumer
from chat.routing import http_urlpatterns
from chat.routing import websocket_urlpatterns as chat_urlpatterns

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
