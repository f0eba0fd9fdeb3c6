"""The settings that the tests of channels-auth run with."""

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
    "channels_auth",
    "accounts",
]

USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Quick, since the tests log in all the time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_folder = Path(tempfile.mkdtemp(prefix="channels-auth-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

SESSION_FILE_PATH = str(_folder)

# A socket's folder, once `test_postgresql` has started the server that listens there.
_socket = os.environ.get("CHANNELS_TEST_POSTGRESQL")

DATABASES: dict[str, dict[str, Any]]
if _socket:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _socket,
            "NAME": "postgres",
            "USER": "postgres",
        }
    }
else:
    # A file: a database in memory is shared with care only between threads.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(_folder / "db.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
            "TEST": {"NAME": str(_folder / "test.sqlite3")},
        }
    }
