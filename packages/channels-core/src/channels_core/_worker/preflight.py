"""Whether an application has something to run for what a worker is told to listen to."""

from collections.abc import Iterable
from typing import Any

from channels_core.layers import BaseChannelLayer
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter

__all__ = ["refused_name", "unrouted"]


def refused_name(layer: Any, channels: Iterable[str]) -> str | None:
    """Say which name a layer refuses, and why; None if it takes them all.

    Args:
        layer: The channel layer; one without a method for it takes what `BaseChannelLayer` does.
        channels: The names.
    """
    # Asked of the class: a layer may need an event loop to give its own attributes.
    checker = layer if hasattr(type(layer), "require_valid_channel_name") else BaseChannelLayer()
    for channel in channels:
        try:
            checker.require_valid_channel_name(channel)
        except (TypeError, ValueError, AssertionError) as error:
            return f"The channel layer refuses the name {channel!r}: {error}"
        if "!" in channel:
            return (
                f"A worker listens to channels that have a name of their own; {channel!r} has a "
                "'!', and so belongs to one consumer of one process"
            )
    return None


def unrouted(application: Any, channels: Iterable[str]) -> str | None:
    """Say for which channels an application has nothing to run, as far as one can know.

    Args:
        application: The application.
        channels: The names of the channels.

    Returns:
        What is missing and what there is; None if nothing is, or if it is no router.
    """
    if not _routes_as(application, ProtocolTypeRouter):
        return None
    mapping = application.application_mapping
    if "channel" not in mapping:
        return (
            "ASGI_APPLICATION has no application for the messages of channels (the scope type "
            f"'channel'); there is one for each of: {_shown(mapping)}. Add "
            "'channel': ChannelNameRouter({...}) to its ProtocolTypeRouter"
        )
    router = mapping["channel"]
    if not _routes_as(router, ChannelNameRouter):
        return None
    unknown = [channel for channel in channels if channel not in router.application_mapping]
    if not unknown:
        return None
    return (
        f"The ChannelNameRouter of ASGI_APPLICATION has no application for {_shown(unknown)}; "
        f"there is one for each of: {_shown(router.application_mapping)}"
    )


def _routes_as(application: Any, router: Any) -> bool:
    """Tell whether it is a router of ours which no subclass leads elsewhere."""
    return isinstance(application, router) and type(application).__call__ is router.__call__


def _shown(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
