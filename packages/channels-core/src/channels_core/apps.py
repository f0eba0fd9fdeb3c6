"""The Django application that `INSTALLED_APPS = ["channels_core"]` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

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
    checks.register(_check, "channels")
    checks.register(_check_deployment, "channels", checks.Tags.security, deploy=True)


def _check(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    # Each process of a site registers the checks, and few run them.
    from channels_core._checks import application, frames, json_codec, layers

    return [
        *layers.check_layers(),
        *application.check_application(),
        *frames.check_frame_setting(),
        *json_codec.check_json_codec(),
    ]


def _check_deployment(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    from channels_core._checks import application, frames

    return [*application.check_origins(), *frames.check_frame_limits()]
