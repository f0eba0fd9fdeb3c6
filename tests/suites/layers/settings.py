"""The settings of a site whose layers the environment names."""

import json
import os

SECRET_KEY = "not secret"
INSTALLED_APPS = ["channels", *os.environ.get("APPS", "").split()]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "site.sqlite3",
        "TEST": {"NAME": "test.sqlite3"},
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
#: The layers that the tests are run with, one after the other, each as the default.
LAYERS = json.loads(os.environ["LAYERS"])
ASGI_APPLICATION = "chat.application"
ROOT_URLCONF = "chat"
USE_TZ = True
