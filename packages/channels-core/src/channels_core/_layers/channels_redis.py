"""Drop what a channel layer still holds of a channel whose connection has ended."""

import asyncio
from inspect import isawaitable
from typing import Any, Final

__all__ = ["forget_channel"]

#: Where the layers of channels-redis hold what waits for a channel in this process.
_HELD: Final = ("receive_buffer", "channels")


async def forget_channel(layer: Any, channel: str) -> None:
    """Tell a layer that nobody will receive from a channel any more.

    A layer may have `forget_channel` for that. Those of channels-redis drop a channel when its
    `receive` is cancelled while it waits, and at no other time: not while a handler runs, and
    not while it reads from Redis for all channels of the process. So it is made to wait once
    more, where the layer still knows the channel.

    Args:
        layer: A channel layer, or None.
        channel: The channel's name.
    """
    forget = getattr(layer, "forget_channel", None)
    if forget is not None:
        result = forget(channel)
        if isawaitable(result):  # a test's mock may give anything
            await result
        return
    while _holds(layer, channel):
        receiving = asyncio.ensure_future(layer.receive(channel))
        # What waits there comes within this turn of the event loop.
        await asyncio.sleep(0)
        if not receiving.done():
            receiving.cancel()
        await asyncio.wait([receiving])
        if receiving.cancelled() or receiving.exception() is not None:
            return


def _holds(layer: Any, channel: str) -> bool:
    held = (getattr(layer, name, None) for name in _HELD)
    return any(isinstance(each, dict) and channel in each for each in held)
