"""The application, with a consumer for each channel."""

import os

from channels.routing import ChannelNameRouter, ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workshop.settings")
http = get_asgi_application()

from .consumers import Jobs, SyncJobs  # noqa: E402 - settings and apps come first

application = ProtocolTypeRouter(
    {
        "http": http,
        "channel": ChannelNameRouter({"jobs": Jobs.as_asgi(), "sync-jobs": SyncJobs.as_asgi()}),
    }
)
