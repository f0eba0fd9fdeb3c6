"""The Django application that `INSTALLED_APPS = ["channels_core"]` names."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ChannelsCoreConfig", "set_up"]


class ChannelsCoreConfig(AppConfig):
    """Bring the command for workers and the system checks to a Django project."""

    name = "channels_core"
    verbose_name: str = "Channels: consumers, routing and layers"

    def ready(self) -> None:
        """Set up."""
        set_up()


def set_up() -> None:
    """Register the system checks; calling it again does nothing.

    The `ready` of an application that includes this one calls it.
    """
    # Imported here: the module needs the loaded applications.
    from channels_core.checks import register_checks

    register_checks()
