"""The settings for production, behind a proxy that handles TLS."""

import os

from django.core.exceptions import ImproperlyConfigured

from chatsite.settings import *  # noqa: F403 (all settings that are not changed here)

DEBUG = False
# A default would be known to everybody.
SECRET_KEY = os.environ["CHAT_SECRET_KEY"]
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 10:
    raise ImproperlyConfigured(
        "CHAT_SECRET_KEY must be a secret of 50 characters or more. This command makes one: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )

# `manage.py collectstatic` copies the static files there, and the proxy serves them.
STATIC_ROOT = os.environ["CHAT_STATIC_ROOT"]

# The proxy sets this header itself. Daphne does not tell which WebSockets use TLS, and a page must
# be of the same origin as its WebSockets.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The proxy's X-Forwarded-Proto tells the servers whether a request used TLS.
USES_TLS = os.environ.get("CHAT_PLAIN_HTTP") != "1"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = USES_TLS
# For so long, browsers that have been here do not try without TLS. It cannot be taken back sooner.
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if USES_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# The list that browsers are delivered with is a decision for a whole domain.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

# The largest frame, in bytes, for consumers without the option `max_message_size`.
CHANNELS_MAX_MESSAGE_SIZE = 65536

# The processes reach each other only through Redis.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": os.environ["REDIS_URL"],
                    # Longer than the five seconds for which the layer has Redis wait for a message.
                    "socket_timeout": 15,
                    "socket_connect_timeout": 3,
                    "health_check_interval": 30,
                }
            ],
            # The memberships of a killed process expire after this long. Running processes renew
            # theirs once a minute.
            "group_expiry": 1800,
        },
    },
}

# The unit `chat-worker` runs one.
HAS_WORKER = True

# The processes count the attempts to log in together.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
        "KEY_PREFIX": "chat",
        "OPTIONS": {"socket_timeout": 3},
    },
}

# With DEBUG off, Django itself prints no log records, but mails errors to ADMINS. Without these
# lines, nobody would see which clients `django.channels.security` has refused, for example.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"handlers": ["console"], "level": "INFO", "propagate": False}
        for name in ("django", "chat")
    },
}
