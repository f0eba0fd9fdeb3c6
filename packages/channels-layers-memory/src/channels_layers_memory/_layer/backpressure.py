"""Let the members of a group read before they are full: a sender in a plain loop leaves no turn."""

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Final

from channels_layers_memory._layer.crowds import Crowds

__all__ = ["give_way"]

# In so many turns of the event loop a channel's first message is to be taken. Or else its reader is
# busy, and nobody waits for it.
_TURNS: Final = 60
#: A handler in a thread needs the interpreter, which a loop that only turns hardly lets go.
_TURNS_WITHOUT_A_PAUSE: Final = 10
_PAUSE: Final = 0.0001


async def give_way(store: Crowds, names: Iterable[str]) -> None:
    """Wait until channels are no more than half full, as long as messages are taken.

    Args:
        store: Where they are.
        names: The channels that were more than half full.
    """
    for name in names:
        while (first := store.first_if_crowded(name)) is not None:
            for turn in range(_TURNS):
                await asyncio.sleep(0)
                if not store.has_first(name, first):
                    break
                if turn >= _TURNS_WITHOUT_A_PAUSE and threading.active_count() > 1:
                    # No timer of the loop's: it may stand still, in a test that freezes time.
                    time.sleep(_PAUSE)  # noqa: ASYNC251 - a tenth of a millisecond, as just said
            else:
                store.note_unread(name, first)
