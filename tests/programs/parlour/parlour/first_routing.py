"""The first routing of the site: no entry for HTTP, which Django then serves."""

import os

import django
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "parlour.settings")
django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402 - the models are loaded just above

from . import consumers  # noqa: E402 - it imports models, which are loaded just above

application = ProtocolTypeRouter(
    {
        "websocket": AuthMiddlewareStack(
            URLRouter([re_path(r"^ws/chat/(?P<room>\w+)/$", consumers.ChatConsumer)])
        ),
        "channel": ChannelNameRouter({"thumbnails": consumers.ThumbnailConsumer}),
    }
)
