"""The application that a server runs: consumers, and Django's views."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# This loads the apps, so it stands before the import of anything that has to do with models.
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

# What no consumer answers is for Django and its views.
everything_else = re_path(r"", django_application)  # type: ignore[arg-type] # stubs know views only
http = URLRouter([*http_urlpatterns, everything_else])
websockets = URLRouter([*account_urlpatterns, *chat_urlpatterns])

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(
            # Nothing tells of a session that expires or of a row that is changed by SQL. So each
            # WebSocket looks once a minute as well.
            AuthMiddlewareStack(websockets, ends_with_login=True, revalidate_every=60)
        ),
        # No server asks for this: `python manage.py runworker chat-stats` does.
        "channel": ChannelNameRouter({STATS: StatsConsumer.as_asgi()}),
    }
)
