"""The Django application that `INSTALLED_APPS = ["channels_auth"]` names."""

from __future__ import annotations

import contextlib

from django.apps import AppConfig
from django.conf import settings

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
    # Imported here because they need models.
    from channels_auth._disconnection.receivers import connect_receivers
    from channels_auth.checks import register_checks

    connect_receivers()
    # Django's default needs no change, and is loaded with the first session: commands have none.
    if settings.SESSION_ENGINE != "django.contrib.sessions.backends.db":
        from channels_auth._sessions.engine import session_class

        # Django reports a wrong SESSION_ENGINE when it is used.
        with contextlib.suppress(Exception):
            session_class()
    register_checks()
