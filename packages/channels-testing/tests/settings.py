"""The settings that the tests of channels-testing run with."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]

USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_folder = Path(tempfile.mkdtemp(prefix="channels-testing-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# The socket's folder of a server that runs, or `memory`.
_database = os.environ.get("CHANNELS_TEST_DATABASE", "")

DATABASES: dict[str, dict[str, Any]]
if _database == "memory":
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
elif _database:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _database,
            "NAME": "postgres",
            "USER": "postgres",
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(_folder / "db.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
            "TEST": {"NAME": str(_folder / "test.sqlite3")},
        }
    }
