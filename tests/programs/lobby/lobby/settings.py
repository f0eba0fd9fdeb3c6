"""The settings of a small current site with WebSockets."""

SECRET_KEY = "not a secret: it guards nothing but tests"
DEBUG = False
ALLOWED_HOSTS = ["lobby.example"]

INSTALLED_APPS = ["channels", "lobby"]
ROOT_URLCONF = "lobby.urls"
ASGI_APPLICATION = "lobby.asgi.application"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"capacity": 50, "channel_capacity": {"print*": 5}},
    },
}

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
