"""The Django application that `INSTALLED_APPS = ["channels_http"]` names."""

from django.apps import AppConfig

__all__ = ["ChannelsHttpConfig", "set_up"]


class ChannelsHttpConfig(AppConfig):
    """Add a development server with WebSockets to a Django project."""

    name = "channels_http"
    verbose_name: str = "Channels: HTTP and the development server"

    def ready(self) -> None:
        """Set up."""
        set_up()


def set_up() -> None:
    """Register the system checks, and warn of misdirected WebSockets; a second call does nothing.

    For the `ready` method of an application that includes this one.
    """
    # Imported here: these modules need the application registry.
    from channels_http._misdirected_websockets import watch_requests
    from channels_http.checks import register_checks

    register_checks()
    watch_requests()
