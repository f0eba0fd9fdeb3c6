"""The application that a server runs: HTTP goes to Django, WebSockets go to the consumers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# This loads the apps, so it stands before the import of anything that has to do with models.
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402 (the apps come first)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402 (the same)

from accounts.routing import websocket_urlpatterns as account_urlpatterns  # noqa: E402 (the same)
from chat.routing import websocket_urlpatterns as chat_urlpatterns  # noqa: E402 (the same)

websockets = URLRouter([*account_urlpatterns, *chat_urlpatterns])

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(
            # Nothing tells of a session that expires or of a row that is changed by SQL. So each
            # WebSocket looks once a minute as well.
            AuthMiddlewareStack(websockets, ends_with_login=True, revalidate_every=60)
        ),
    }
)
