"""The settings where the site is served for real, behind a proxy that speaks TLS to browsers."""

import os

from chatsite.settings import *  # noqa: F403 (all that is not said otherwise here)

DEBUG = False
# A default would be everybody's.
SECRET_KEY = os.environ["CHAT_SECRET_KEY"]

# `manage.py collectstatic` puts them there, and the proxy serves them.
STATIC_ROOT = os.environ["CHAT_STATIC_ROOT"]

# That a request came by TLS, the servers have from the proxy's X-Forwarded-Proto.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("CHAT_PLAIN_HTTP") != "1"

# Processes that know nothing of each other meet in Redis.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": os.environ["REDIS_URL"],
                    # Longer than the five seconds for which the layer lets Redis wait by itself.
                    "socket_timeout": 15,
                    "socket_connect_timeout": 3,
                    "health_check_interval": 30,
                }
            ],
            # Members of a process that was killed are gone after this long. Those of living ones
            # are renewed once a minute.
            "group_expiry": 1800,
        },
    },
}
