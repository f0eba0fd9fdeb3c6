"""Let the readers of channels that fill up run, before a sender goes on.

A program that sends in a plain loop never lets the event loop turn, so readers that have nothing
else to do would still lose messages. Once a channel is more than half full, each `send` and
`group_send` therefore lets the event loop turn until half of the channel is free again. If the
first message of the channel stays where it is for a number of turns, its reader is busy: the
sender goes on, and does not wait for that message again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Final

from channels_layers_memory._layer.store import Store

__all__ = ["wait_for_readers"]

# The turns of the event loop within which a reader that is not busy takes a message.
_TURNS: Final = 60
# A handler in a thread needs the interpreter, which a loop that only turns hardly releases. So
# after these turns each further one begins with a short pause.
_TURNS_WITHOUT_A_PAUSE: Final = 10
_PAUSE: Final = 0.0001


async def wait_for_readers(store: Store, names: Iterable[str]) -> None:
    """Wait until channels are at most half full, as long as their messages are taken.

    Args:
        store: Holds the channels.
        names: The channels that were more than half full.
    """
    for name in names:
        while (first := store.first_to_wait_for(name)) is not None:
            for turn in range(_TURNS):
                await asyncio.sleep(0)
                if not store.is_first(name, first):
                    break
                if turn >= _TURNS_WITHOUT_A_PAUSE and threading.active_count() > 1:
                    # Not asyncio.sleep(): its timer stands still in a test that freezes time.
                    time.sleep(_PAUSE)  # noqa: ASYNC251 - a tenth of a millisecond, as just said
            else:
                store.record_busy_reader(name, first)
