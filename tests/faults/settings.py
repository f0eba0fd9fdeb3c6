"""The settings of the site in the trials."""

import json
import os

SECRET_KEY = "not a secret: it guards nothing but tests"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "faults.site"
INSTALLED_APPS = ["channels"]
USE_TZ = True

LAYERS = {
    "redis": "channels_redis.core.RedisChannelLayer",
    "redis-pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "layers-redis": "channels_layers_redis.RedisChannelLayer",
    "layers-redis-history": "channels_layers_redis.RedisChannelLayer",
}
CHANNEL_LAYER = os.environ["CHANNEL_LAYER"]
#: Whether the layer keeps the messages to the room, so that pages get what they have missed.
RESUMES = CHANNEL_LAYER == "layers-redis-history"
HISTORY = {"history": {"room": {"size": 2000, "age": 600}}} if RESUMES else {}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": LAYERS[CHANNEL_LAYER],
        "CONFIG": {
            "hosts": [{"address": os.environ["REDIS_URL"]}],
            **HISTORY,
            **json.loads(os.environ.get("LAYER_CONFIG", "{}")),
        },
    }
}
MAX_PENDING = int(os.environ.get("MAX_PENDING", "0")) or None
CHANNELS_GROUP_RENEWAL = float(os.environ.get("GROUP_RENEWAL", "60"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"handlers": ["console"], "level": "INFO", "propagate": False}
        for name in ("django", "channels_redis")
    },
}
