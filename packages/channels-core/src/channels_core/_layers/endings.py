"""Tell a channel layer that a channel, or its whole use, has ended."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

__all__ = ["close_layer", "forget_channel"]


async def forget_channel(layer: Any, channel: str) -> None:
    """Make a layer drop a channel whose connection has ended, and what has arrived for it.

    Args:
        layer: A channel layer, or None. It may have `forget_channel`, which is then called.
        channel: The channel's name.
    """
    forget = getattr(layer, "forget_channel", None)
    if forget is None:
        from channels_core._layers import channels_redis  # for its layers only

        await channels_redis.drop_channel(layer, channel)
        return
    result = forget(channel)
    if isawaitable(result):  # a test's mock may return anything
        await result


async def close_layer(layer: Any) -> None:
    """Close the connections of a layer to its store, if it has a method for that.

    Raises:
        Exception: The layer's own error.
    """
    from channels_core._layers import channels_redis  # at the end of a worker only

    for name in ("close", channels_redis.CLOSE):
        if close := getattr(layer, name, None):
            result = close()
            if isawaitable(result):
                await result
            return
