"""The Django application that `INSTALLED_APPS = ["channels_auth"]` names."""

from django.apps import AppConfig

__all__ = ["ChannelsAuthConfig", "set_up"]


class ChannelsAuthConfig(AppConfig):
    """Bring sessions and logins for Channels to a Django project."""

    name = "channels_auth"
    verbose_name: str = "Channels: sessions and logins"

    def ready(self) -> None:
        """Set up."""
        set_up()


def set_up() -> None:
    """Register the system checks, and listen for logins that end; once more does nothing.

    For the `ready` of an application that brings this one along.
    """
    # Here, because there are models now.
    from channels_auth._disconnection.receivers import connect_receivers
    from channels_auth.checks import register_checks

    connect_receivers()
    register_checks()
