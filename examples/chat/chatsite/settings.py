"""The settings of the example site: only what it uses."""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

# Published with the example, so it protects nothing. A real site needs its own, secret key.
SECRET_KEY = os.environ.get("CHAT_SECRET_KEY", "insecure-and-only-for-the-example-site")
DEBUG = os.environ.get("CHAT_DEBUG", "1") == "1"
# With DEBUG on, Django itself allows localhost and 127.0.0.1.
ALLOWED_HOSTS = os.environ.get("CHAT_ALLOWED_HOSTS", "").split()

INSTALLED_APPS = [
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "accounts",
    "chat",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "chatsite.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"

STATIC_URL = "static/"

LOGIN_URL = "log-in"
LOGIN_REDIRECT_URL = "index"
LOGOUT_REDIRECT_URL = "index"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# How many passwords may be tried in this time: from one address, and wrong ones for one account.
ATTEMPTS_SECONDS = int(os.environ.get("CHAT_ATTEMPTS_SECONDS", "600"))
ATTEMPTS_OF_ADDRESS = int(os.environ.get("CHAT_ATTEMPTS_OF_ADDRESS", "30"))
ATTEMPTS_OF_ACCOUNT = int(os.environ.get("CHAT_ATTEMPTS_OF_ACCOUNT", "10"))
# The attempts are counted here. With several processes, use a cache that they share.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        # When it is full, it drops entries, and so forgets attempts.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

# The memory layer connects consumers in one process. With Redis, the site runs in several.
CHANNEL_LAYER = os.environ.get("CHANNEL_LAYER", "memory")
REDIS = {
    "address": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    # From version 8, redis-py's default time-out is no longer than the layer has Redis wait for a
    # message.
    "socket_timeout": None,
}
# The layer keeps what was written in a room for ten minutes, for pages that lost their connection.
HISTORY = {"chat.*": {"size": 200, "age": 600}}
LAYERS: dict[str, dict[str, Any]] = {
    "memory": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"history": HISTORY},
    },
    "layers-redis": {
        "BACKEND": "channels_layers_redis.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS["address"]], "history": HISTORY},
    },
    "redis": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS]},
    },
    "redis-pubsub": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS]},
    },
}
if CHANNEL_LAYER not in LAYERS:
    raise ImproperlyConfigured(
        f"CHANNEL_LAYER must be one of {', '.join(LAYERS)}, not {CHANNEL_LAYER!r}."
    )
CHANNEL_LAYERS = {"default": LAYERS[CHANNEL_LAYER]}
# A worker is another process, which the memory layer does not reach. Then no page asks for one.
HAS_WORKER = CHANNEL_LAYER != "memory"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("CHAT_DATABASE", BASE_DIR / "db.sqlite3"),
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.contrib.auth.context_processors.auth",
                "chatsite.csp.csp_nonce",
            ],
        },
    },
]

USE_TZ = True
TIME_ZONE = "UTC"

# How long a stream of events lasts before the browser has to reconnect, and how long a poll waits
# for a message.
FEED_SECONDS = float(os.environ.get("CHAT_FEED_SECONDS", "60"))
POLL_SECONDS = float(os.environ.get("CHAT_POLL_SECONDS", "25"))

# How long the parrot thinks about each word.
WORD_SECONDS = float(os.environ.get("CHAT_WORD_SECONDS", "0.12"))

# No propagation: Daphne adds a handler to the root logger, and each line would appear twice.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {
        name: {"handlers": ["console"], "level": "INFO", "propagate": False}
        for name in ("django", "chat")
    },
}
