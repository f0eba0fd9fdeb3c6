"""The settings that the tests of channels run with."""

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["channels"]

ALLOWED_HOSTS = ["example.com"]

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

USE_TZ = True
