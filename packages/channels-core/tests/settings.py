"""The settings that the tests of channels-core run with."""

import atexit
import shutil
import tempfile
from pathlib import Path

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = ["channels_core"]

USE_TZ = True

_folder = Path(tempfile.mkdtemp(prefix="channels-core-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# A file: a database in memory is never closed, which is what the tests look for.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(_folder / "db.sqlite3"),
        "TEST": {"NAME": str(_folder / "test.sqlite3")},
    }
}
