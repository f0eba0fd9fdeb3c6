"""All code that relies on internals of channels-redis; it does nothing for other layers.

The two layers of that package keep what has arrived for a channel in this process. They drop it
only when a `receive` is cancelled while it waits: not while a handler runs, and not while the
layer reads from Redis for all channels of the process. So Channels makes them wait once more.

tests/test_redis_layers.py and tests/test_worker.py run this against the real package (4.3).
"""

from __future__ import annotations

import asyncio
import logging
from inspect import iscoroutinefunction
from typing import Any, Final

from channels_core._layers.outages import is_outage, ongoing
from channels_core._two_step import takes
from channels_core.typing import Message

__all__ = [
    "CLOSE",
    "LAST_RECEIVE",
    "drop_channel",
    "log_outages_once",
    "require_packable",
    "subscribe_anew",
]

#: The method that closes its connections. It also waits for the calls that take handled messages
#: off the server; without them those messages would be delivered once more.
CLOSE: Final = "close_pools"

#: Seconds that a running `receive` gets when a worker stops. A cancelled receive may
#: lose a message: the layer takes a message off the server before it is safe, and on a busy
#: channel most cancellations fall into that moment.
LAST_RECEIVE: Final = 1.0

#: The attributes, one of each layer, that map a channel to what has arrived for it.
_ARRIVED: Final = ("receive_buffer", "channels")


#: The module of the layer that publishes and subscribes, and the name of its logger.
_PUBSUB: Final = "channels_redis.pubsub"
#: Seconds without an error after which the next one is another outage: more than it waits between
#: two attempts, including the time-out of one.
_APART: Final = 30.0


def log_outages_once(layer: Any) -> None:
    """Keep a layer from logging an outage again for each channel, and once a second.

    It logs the exception each time; nothing else that it logs is dropped.
    """
    if any(kind.__module__ == _PUBSUB for kind in type(layer).__mro__):
        logging.getLogger(_PUBSUB).addFilter(_is_news)


# When the layer has had an error of an outage, whether it was logged or not.
_latest = -_APART


def _is_news(record: logging.LogRecord) -> bool:
    global _latest
    error = record.exc_info[1] if record.exc_info else None
    if error is None or not is_outage(None, error):
        return True
    before, _latest = _latest, record.created
    # Nobody else knows of the outage while no connection needs the layer.
    return not ongoing and record.created - before >= _APART


async def drop_channel(layer: Any, channel: str) -> None:
    """Make a layer drop a channel, and what has arrived for it."""
    while _knows(layer, channel):
        receiving = asyncio.ensure_future(layer.receive(channel))
        # A message that has arrived is returned within one turn of the event loop.
        await asyncio.sleep(0)
        if not receiving.done():
            receiving.cancel()
        await asyncio.wait([receiving])
        if receiving.cancelled() or receiving.exception() is not None:
            return


def _knows(layer: Any, channel: str) -> bool:
    arrived = (getattr(layer, name, None) for name in _ARRIVED)
    return any(isinstance(each, dict) and channel in each for each in arrived)


async def subscribe_anew(layer: Any, channel: str) -> asyncio.Future[Any] | None:
    """Make a layer forget a first subscription that has failed.

    The layer that publishes and subscribes believes that it has subscribed to such a channel, and
    its next `receive` would wait for ever. It forgets the channel when a call that waits is
    cancelled.

    Returns:
        The call, if it has returned a message instead; otherwise None.
    """
    receiving: asyncio.Future[Any] = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    if not receiving.done():
        receiving.cancel()
        await asyncio.wait([receiving])
    if receiving.cancelled() or receiving.exception() is not None:
        return None
    return receiving


def require_packable(layer: Any, message: Message) -> None:
    """Raise the error of a layer that cannot pack a message.

    Layers that were written after those of channels-redis have its `serialize(message)` too.

    Raises:
        Exception: The layer's own error.
    """
    serialize = getattr(type(layer), "serialize", None)
    if serialize is not None and not iscoroutinefunction(serialize) and takes(serialize, 2):
        serialize(layer, message)
