"""The settings of a program that uses Redis if the environment names one."""

import json
import os
from typing import Any

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["channels"]
ASGI_APPLICATION = "workshop.asgi.application"

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True

BACKEND = os.environ.get("WORKSHOP_LAYER", "channels.layers.InMemoryChannelLayer")
CONFIG: dict[str, Any] = {}
if "WORKSHOP_REDIS" in os.environ:
    # No time-out: redis-py 8 would take a quiet channel for a dead server.
    CONFIG["hosts"] = [{"address": os.environ["WORKSHOP_REDIS"], "socket_timeout": None}]
CONFIG |= json.loads(os.environ.get("WORKSHOP_CONFIG", "{}"))

CHANNEL_LAYERS = {"default": {"BACKEND": BACKEND, "CONFIG": CONFIG}}
