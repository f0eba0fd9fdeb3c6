"""The Django application that `INSTALLED_APPS = ["channels_http"]` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
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
    register_checks()
    request_started.connect(_check_request, dispatch_uid="channels_http.upgrades")


def register_checks() -> None:
    """Register the system check; a second call does nothing."""
    checks.register(_check_runserver, "channels", checks.Tags.staticfiles)


def _check_request(**kwargs: Any) -> None:
    # Loaded with the first request: a process that serves only WebSockets has none.
    from channels_http._misdirected_websockets import check_request

    check_request(**kwargs)


def _check_runserver(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    # Each process of a site registers the check, and few run it.
    from channels_http.checks import check_runserver

    return check_runserver(app_configs, **kwargs)
