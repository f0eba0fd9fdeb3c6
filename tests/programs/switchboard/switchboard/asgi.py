"""The application that a server runs."""

import os

import django
from channels.http import AsgiHandler
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "switchboard.settings")
django.setup()

from . import consumers  # noqa: E402 - the settings are loaded just above

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("calls/", consumers.Calls.as_asgi()),
                path("hold/", consumers.Hold.as_asgi()),
                path("whole/", consumers.Whole.as_asgi()),
                path("parts/", consumers.Parts.as_asgi()),
                path("cut/", consumers.Cut.as_asgi()),
                path("broken/", consumers.Broken.as_asgi()),
                path("letter/", consumers.Letter.as_asgi()),
                path("parcel/", consumers.Parcel.as_asgi()),
                path("closed/", consumers.Closed.as_asgi()),
                re_path(r"", AsgiHandler),  # type: ignore[arg-type] # a class, as Channels 2 had it
            ]
        )
    }
)
