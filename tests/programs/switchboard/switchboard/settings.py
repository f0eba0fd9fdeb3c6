"""The settings of a site whose answers come late, in parts, or not to the end."""

SECRET_KEY = "not a secret: it guards nothing but tests"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]

INSTALLED_APPS = ["channels", "switchboard"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "switchboard.urls"
ASGI_APPLICATION = "switchboard.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DATA_UPLOAD_MAX_MEMORY_SIZE = 100_000

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}
