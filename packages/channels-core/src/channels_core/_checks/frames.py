"""System checks: the size of the frames that WebSocket consumers accept is limited."""

from __future__ import annotations

from typing import Final

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from channels_core._checks.imports import watched
from channels_core._consumer_classes import class_of
from channels_core._settings import FROM_SETTING, max_message_size
from channels_core.applications import name_that_thing
from channels_core.documentation import see
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.inspection import consumer_of, walk
from channels_core.routing import get_default_application

__all__ = ["check_frame_limits", "check_frame_setting"]

#: The number of consumers that the warning names.
_SHOWN: Final = 5


def check_frame_setting() -> list[checks.CheckMessage]:
    """Check the setting `CHANNELS_MAX_MESSAGE_SIZE`.

    Returns:
        `channels_core.E006`, its value is not a size.
    """
    try:
        max_message_size()
    except ImproperlyConfigured as error:
        return [
            checks.Error(
                f"{error}.",
                hint="Correct the setting. " + see("Consumers", "Receiving frames"),
                id="channels_core.E006",
            )
        ]
    return []


def check_frame_limits() -> list[checks.CheckMessage]:
    """Check, for `check --deploy`, that each WebSocket consumer limits the size of frames.

    Returns:
        `channels_core.W011`, neither the setting nor the option of a consumer does.
    """
    try:
        if max_message_size() is not None:
            return []
        application = watched(get_default_application)
    except (Exception, SystemExit):  # noqa: BLE001 - other checks report it
        return []
    found = (consumer_of(place.application) for place in walk(application))
    names = [name_that_thing(each) for each in dict.fromkeys(found) if _accepts_any(each)]
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [
        checks.Warning(
            f"Frames of any size are accepted by {', '.join(names[:_SHOWN])}{more}. A client can "
            "hold up the server and fill its memory with one frame.",
            hint="Set CHANNELS_MAX_MESSAGE_SIZE, or the option max_message_size of the consumers, "
            "to a number of bytes. " + see("Consumers", "Receiving frames"),
            id="channels_core.W011",
        )
    ]


def _accepts_any(consumer: type | None) -> bool:
    """Return whether a class is a WebSocket consumer without a limit."""
    if consumer is None or not issubclass(consumer, AsyncWebsocketConsumer | WebsocketConsumer):
        return False
    # None is the program's own decision.
    return class_of(consumer).options["max_message_size"] is FROM_SETTING
