"""The WebSocket greets the user whose session cookie it has."""

import tempfile
from pathlib import Path

from asgiref.sync import sync_to_async
from readme import Socket, blocks, configure, run, wait_for

folder = tempfile.TemporaryDirectory()
configure(
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "channels_auth",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(folder.name, "site.sqlite3"),
        }
    },
)

# They need the settings above.
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

application = run(blocks()[0])["application"]


def log_in() -> bytes:
    """Return the cookie of a user who has logged in on the site."""
    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(get_user_model().objects.create_user("anna"))
    return f"sessionid={client.cookies['sessionid'].value}".encode()


async def visit() -> None:
    cookie = await sync_to_async(log_in)()
    socket = Socket(application, "/greeting/", headers=[(b"cookie", cookie)])
    await socket.open()
    assert await socket.receive() == "Hello, anna"
    await socket.close()


wait_for(visit())
folder.cleanup()
