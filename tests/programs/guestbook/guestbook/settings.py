"""The settings of a site whose tests need a server, on the databases that the environment names."""

import os
import tempfile
from pathlib import Path
from typing import Any

SECRET_KEY = "not a secret: it guards nothing but tests"
DEBUG = False

INSTALLED_APPS = [
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "guestbook",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "guestbook.urls"
ASGI_APPLICATION = "guestbook.asgi.application"
STATIC_URL = "/static/"

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

LANGUAGE_CODE = "en"


def _database(alias: str) -> dict[str, Any]:
    server = os.environ.get("GUESTBOOK_POSTGRESQL")
    if server:
        engine = "django.db.backends.postgresql"
        return {"ENGINE": engine, "NAME": alias, "HOST": server, "USER": "postgres"}
    folder = os.environ.get("GUESTBOOK_FOLDER", tempfile.gettempdir())
    # Without a folder, Django's default: in memory.
    name = str(Path(folder, f"test_{alias}_of_{os.getpid()}")) if folder else None
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{alias}.sqlite3",
        "TEST": {"NAME": name},
    }


DATABASES = {alias: _database(alias) for alias in ("default", "archive")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
