"""The settings that the tests of the whole tree run with."""

import atexit
import shutil
import tempfile
from pathlib import Path

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["channels", "django.contrib.auth", "django.contrib.contenttypes", "chat"]

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

_folder = Path(tempfile.mkdtemp(prefix="channels-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# A file: a database in memory is never closed, so a thread would keep it from one test to another.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(_folder / "db.sqlite3"),
        "TEST": {"NAME": str(_folder / "test.sqlite3")},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
