"""The settings that the tests of channels-http run with."""

import atexit
import shutil
import tempfile
from pathlib import Path

SECRET_KEY = "not a secret: it guards nothing but tests"

INSTALLED_APPS = [
    "channels_http",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "site_urls.Counting",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
ROOT_URLCONF = "site_urls"
ASGI_APPLICATION = "site_urls.application"
ALLOWED_HOSTS = ["testserver"]

_folder = Path(tempfile.mkdtemp(prefix="channels-http-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
(_folder / "style.css").write_text("body { color: teal }")

STATIC_URL = "/static/"
STATICFILES_DIRS = [_folder]

USE_TZ = True
