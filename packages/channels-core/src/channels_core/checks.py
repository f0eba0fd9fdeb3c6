"""System checks: `ASGI_APPLICATION`, `CHANNEL_LAYERS`, and the consumers of the application.

Each check imports what it needs, so that one of them can be called without the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks

from channels_core._settings import DEFAULT_CHANNEL_LAYER

__all__ = [
    "check_application",
    "check_layers",
    "check_origins",
    "check_worker_layer",
    "register_checks",
]


def register_checks() -> None:
    """Register the checks with Django; calling it again does nothing."""
    from channels_core.apps import set_up

    set_up()


def check_application(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that `ASGI_APPLICATION` can be imported, and check the applications inside.

    Returns:
        `channels_core.W001`, it is not set; `E003`, it cannot be used; `W002`, it queries a
        database while it is imported, and gets an error. For each consumer: `E004`, it has groups
        and no layer; `E005`, it has groups and a layer without them; `W003`, it joins a group and
        has no layer; `W006`, it has handlers that are `async def` and should not be, or the
        reverse. For each `OriginValidator`: `W007`, it has a pattern that matches nothing.
    """
    from channels_core._checks import application

    return application.check_application()


def check_origins(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that each `OriginValidator` of `ASGI_APPLICATION` refuses the pages of other sites.

    Returns:
        `channels_core.W010`, once, if one of them allows every origin.
    """
    from channels_core._checks import application

    return application.check_origins()


def check_layers(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that each layer of `CHANNEL_LAYERS` can be imported and constructed.

    Returns:
        `channels_core.E001`, a setting of the wrong shape; `E002`, a layer that cannot be built;
        `W012`, a layer that ignores its option `history` or `queues`.
    """
    from channels_core._checks import layers

    return layers.check_layers()


def check_worker_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> list[checks.CheckMessage]:
    """Check that a layer reaches other processes; called by the command `runworker`.

    Args:
        alias: The layer's alias in `CHANNEL_LAYERS`.

    Returns:
        `channels_core.W004`, for a layer within one process. Nothing if that is not known, or if
        the layer cannot be built.
    """
    from channels_core._checks import layers

    return layers.check_worker_layer(alias)
