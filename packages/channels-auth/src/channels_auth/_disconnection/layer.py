"""Find the channel layer that carries the messages to sockets; it has to support groups."""

from __future__ import annotations

from channels_core.exceptions import InvalidChannelLayerError
from channels_core.layers import BaseChannelLayer, get_channel_layer, has_groups

__all__ = ["layer_with_groups", "require_layer_with_groups"]


def layer_with_groups() -> BaseChannelLayer | None:
    """Return the default channel layer; None if there is no layer or it has no groups."""
    layer = get_channel_layer()
    return layer if layer is not None and has_groups(layer) else None


def require_layer_with_groups(what: str) -> BaseChannelLayer:
    """Return the default channel layer.

    Args:
        what: The feature that needs the layer, for the error.

    Raises:
        InvalidChannelLayerError: There is no layer, or it has no groups.
    """
    layer = get_channel_layer()
    if layer is None:
        raise InvalidChannelLayerError(
            f"{what} reaches sockets over the channel layer, and CHANNEL_LAYERS has no 'default'. "
            "Add one: channels.layers.InMemoryChannelLayer for a site in a single process, "
            "channels_redis.core.RedisChannelLayer for more"
        )
    if not has_groups(layer):
        raise InvalidChannelLayerError(
            f"{what} needs a channel layer with groups, and {type(layer).__name__}, the 'default' "
            "of CHANNEL_LAYERS, has none; configure another one"
        )
    return layer
