"""What to do about a channel layer that is not there, said in the error that looks for it."""

from typing import Any

from channels_core.documentation import see
from channels_core.layers import BaseChannelLayer, channel_layers

__all__ = ["explain_missing_layer"]


def explain_missing_layer(error: BaseException, consumer: Any) -> None:
    """Add a note to the `AttributeError` of a consumer that uses its layer and has none.

    Args:
        error: What the consumer raised; its class and text stay as they are.
        consumer: The consumer.
    """
    if (
        not isinstance(error, AttributeError)
        or error.obj is not None
        or not hasattr(BaseChannelLayer, error.name or "")
        or getattr(consumer, "channel_layer", None) is not None
    ):
        return
    alias = consumer.channel_layer_alias
    if alias is None:
        why = "its channel_layer_alias is None"
    else:
        there = ", ".join(map(repr, channel_layers.configs)) or "none"
        why = f"CHANNEL_LAYERS has no alias {alias!r}; the aliases there are: {there}"
    error.add_note(
        f"{type(consumer).__name__} has no channel layer: {why}. "
        f"{see('Channel layers', 'Configuration')}"
    )
