"""System check: does another application's `runserver` hide the one that serves WebSockets?"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from django.apps import AppConfig, apps
from django.core import checks
from django.core.management import find_commands

__all__ = ["check_runserver", "register_checks"]

#: The applications that include our command.
_OURS: Final = frozenset({"channels", "channels_http"})

_STATIC_FILES: Final = "django.contrib.staticfiles"


def register_checks() -> None:
    """Register the check with Django; a second call does nothing."""
    checks.register(check_runserver, "channels", checks.Tags.staticfiles)


def check_runserver(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that no other `runserver` hides ours: Django uses the first one of `INSTALLED_APPS`.

    A different one in front, such as Daphne's, is somebody's choice; that of Django's static files
    is probably a mistake. Without Daphne, ours serves no WebSockets either, so nothing is reported.

    Returns:
        `channels_http.E001` for an application that must stand before
        `django.contrib.staticfiles`.
    """
    bring_one = [config.name for config in apps.get_app_configs() if _has_runserver(config)]
    ours = [name for name in bring_one if name in _OURS]
    if not ours or bring_one[0] != _STATIC_FILES or find_spec("daphne") is None:
        return []
    from channels_core.documentation import see  # each process of a site imports this module

    return [
        checks.Error(
            f"{ours[0]!r} comes after {_STATIC_FILES!r} in INSTALLED_APPS, so that runserver is "
            "Django's, which serves no WebSockets.",
            hint=f"Move {ours[0]!r} up, before {_STATIC_FILES!r}. "
            + see("The development server", "The place in INSTALLED_APPS"),
            id="channels_http.E001",
        )
    ]


def _has_runserver(config: AppConfig) -> bool:
    return "runserver" in find_commands(str(Path(config.path, "management")))
