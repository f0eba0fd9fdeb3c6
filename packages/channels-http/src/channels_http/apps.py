"""The Django application that `INSTALLED_APPS = ["channels_http"]` names."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.signals import request_started

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
    # Imported here: this module needs the application registry.
    from channels_http.checks import register_checks

    register_checks()
    request_started.connect(_check_request, dispatch_uid="channels_http.upgrades")


def _check_request(**kwargs: Any) -> None:
    # Loaded with the first request: a process that serves only WebSockets has none.
    from channels_http._misdirected_websockets import check_request

    check_request(**kwargs)
