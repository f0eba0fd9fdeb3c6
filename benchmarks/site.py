"""Set up Django for a case, the same for ours, for upstream and for Django alone."""

import tempfile
from pathlib import Path
from typing import Any, Final

__all__ = ["MEMORY", "database_of", "set_up", "set_up_with_users"]

MEMORY: Final = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def set_up(**changes: Any) -> None:
    """Configure and load Django, by default without a channel layer or a database."""
    import django
    from django.conf import settings

    settings.configure(
        **{
            "ALLOWED_HOSTS": ["*"],
            "CHANNEL_LAYERS": {},
            "DATABASES": {},
            "INSTALLED_APPS": [],
            "LOGGING_CONFIG": None,
            "SECRET_KEY": "not a secret",
            "USE_TZ": True,
            **changes,
        }
    )
    django.setup()


def set_up_with_users(*apps: str, **changes: Any) -> tempfile.TemporaryDirectory[str]:
    """Set up Django with users and sessions, in a database that has no tables yet.

    Args:
        apps: More names for `INSTALLED_APPS`.
        changes: More settings.

    Returns:
        The folder of the database, which has to be removed.
    """
    folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
    set_up(
        SECRET_KEY="long enough for a benchmark, and not a secret of any site",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            *apps,
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(database_of(folder)),
            }
        },
        **changes,
    )
    return folder


def database_of(folder: tempfile.TemporaryDirectory[str]) -> Path:
    """Return the file of the database in such a folder."""
    return Path(folder.name, "db.sqlite3")
