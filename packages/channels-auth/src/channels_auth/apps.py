"""The Django application that `INSTALLED_APPS = ["channels_auth"]` names."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

__all__ = ["ChannelsAuthConfig", "set_up"]


class ChannelsAuthConfig(AppConfig):
    """Bring sessions and logins for Channels to a Django project."""

    name = "channels_auth"
    verbose_name: str = "Channels: sessions and logins"

    def ready(self) -> None:
        """Prepare the process: see `set_up`."""
        set_up()


def set_up() -> None:
    """Register the system checks, and notice from now on how logins and sessions end.

    A second call does nothing. The `ready` of an application that includes this one calls it.
    """
    # Imported here because it needs models.
    from channels_auth._disconnection.receivers import connect_receivers

    connect_receivers()
    # Django's default needs no change, and is loaded with the first session: commands have none.
    if settings.SESSION_ENGINE != "django.contrib.sessions.backends.db":
        from channels_auth._sessions.engine import session_class

        # Django reports a wrong SESSION_ENGINE when it is used.
        with contextlib.suppress(Exception):
            session_class()
    register_checks()


def register_checks() -> None:
    """Register the system checks; a second call does nothing.

    Each process of a site registers them, and few run them.
    """
    checks.register(_check_middleware, "channels")
    checks.register(_check_login_tokens, "channels", checks.Tags.security)
    checks.register(_check_origins, "channels", checks.Tags.security, deploy=True)


def _check_middleware(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    from channels_auth._checks import application

    return application.check_middleware()


def _check_login_tokens(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    from channels_auth._checks import application

    return application.check_login_tokens()


def _check_origins(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    from channels_auth._checks import application

    return application.check_origins()
