"""The settings that the tests of channels-layers-redis run with."""

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS: list[str] = []

USE_TZ = True
