"""The Django application that `INSTALLED_APPS = ["channels_http"]` names."""

from django.apps import AppConfig

__all__ = ["ChannelsHttpConfig", "set_up"]


class ChannelsHttpConfig(AppConfig):
    """Bring a development server that speaks WebSocket to a Django project."""

    name = "channels_http"
    verbose_name: str = "Channels: HTTP and the development server"

    def ready(self) -> None:
        """Set up."""
        set_up()


def set_up() -> None:
    """Register the system checks, and look for WebSockets that go astray; once more does nothing.

    For the `ready` of an application that brings this one along.
    """
    # Here, since the applications are what it looks at.
    from channels_http._misdirected_websockets import watch_requests
    from channels_http.checks import register_checks

    register_checks()
    watch_requests()
