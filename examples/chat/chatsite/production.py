"""The settings for production, behind a proxy that handles TLS."""

import os

from chatsite.settings import *  # noqa: F403 (all settings that are not changed here)

DEBUG = False
# A default would be known to everybody.
SECRET_KEY = os.environ["CHAT_SECRET_KEY"]

# `manage.py collectstatic` copies the static files there, and the proxy serves them.
STATIC_ROOT = os.environ["CHAT_STATIC_ROOT"]

# The proxy sets this header itself. Daphne does not tell which WebSockets use TLS, and pages must be
# of the same origin as theirs.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The proxy's X-Forwarded-Proto tells the servers whether a request used TLS.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("CHAT_PLAIN_HTTP") != "1"

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
