"""The settings that the tests of the whole tree run with."""

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["channels", "django.contrib.auth", "django.contrib.contenttypes", "chat"]

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
