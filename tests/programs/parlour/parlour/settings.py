"""The settings of a site of 2018, except for what Django requires today."""

import os
import tempfile

SECRET_KEY = "not a secret: it guards nothing but tests"
DEBUG = os.environ.get("PARLOUR_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]

INSTALLED_APPS = [
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "parlour.apps.ParlourConfig",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "parlour.urls"
ASGI_APPLICATION = "parlour.routing.application"
STATIC_URL = "/static/"

if "REDIS_URL" in os.environ:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]]},
        },
        "notices": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ["REDIS_URL"]], "prefix": "notices"},
        },
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"channel_capacity": {"thumbnails": 2}},
        },
        "notices": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    }

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("PARLOUR_DATABASE", "db.sqlite3"),
        # The live server's process has to find it, and a database in memory is its process's own.
        "TEST": {"NAME": os.path.join(tempfile.gettempdir(), "test_parlour_%d" % os.getpid())},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
