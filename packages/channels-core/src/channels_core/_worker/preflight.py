"""Find what keeps a worker from handling messages of its channels, before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from channels_core.layers import BaseChannelLayer
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter

__all__ = ["refused_name", "unrouted"]


def refused_name(layer: Any, channels: Iterable[str]) -> str | None:
    """Return a text about the first name that a layer refuses; None if it accepts all of them.

    Args:
        layer: The channel layer. If it has no method for names, those of `BaseChannelLayer` count.
        channels: The names.
    """
    # Of the class: some layers need an event loop to read their own attributes.
    checker = layer if hasattr(type(layer), "require_valid_channel_name") else BaseChannelLayer()
    for channel in channels:
        try:
            checker.require_valid_channel_name(channel)
        except (TypeError, ValueError, AssertionError) as error:
            return f"The channel layer refuses the name {channel!r}: {error}"
        if "!" in channel:
            return (
                f"A worker cannot listen to {channel!r}: a name with a '!' belongs to one consumer "
                "of one process"
            )
    return None


def unrouted(application: Any, channels: Iterable[str]) -> str | None:
    """Return a text about the channels that an application does not route.

    Args:
        application: The application.
        channels: The names of the channels.

    Returns:
        The text, with the names that are routed; None if all channels are, or if that cannot be
        known since the application is not a router of ours.
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
    """Return whether an application is a router of ours whose routing is not overridden."""
    return isinstance(application, router) and type(application).__call__ is router.__call__


def _shown(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
