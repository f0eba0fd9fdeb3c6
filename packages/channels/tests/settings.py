"""The settings that the tests of channels run with."""

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "channels"]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ALLOWED_HOSTS = ["example.com"]

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

USE_TZ = True
