"""The settings of the example site: only what it uses."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# Published with the example, so it protects nothing. A real site needs
# its own, secret key.
SECRET_KEY = os.environ.get(
    "CHAT_SECRET_KEY", "insecure-and-only-for-the-example-site"
)
DEBUG = os.environ.get("CHAT_DEBUG", "1") == "1"
# With DEBUG on, Django itself allows localhost and 127.0.0.1.
ALLOWED_HOSTS = os.environ.get("CHAT_ALLOWED_HOSTS", "").split()

INSTALLED_APPS = ["channels", "chat"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get(
            "CHAT_DATABASE", BASE_DIR / "db.sqlite3"
        ),
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
    },
]

USE_TZ = True
TIME_ZONE = "UTC"

# No propagation: Daphne adds a handler to the root logger, and each
# line would appear twice.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {
        "django": {
            "handlers": ["console"],
            "level": "INFO",
            "propagate": False,
        }
    },
}
