"""The settings that the tests of the whole tree run with."""

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["channels"]

USE_TZ = True
