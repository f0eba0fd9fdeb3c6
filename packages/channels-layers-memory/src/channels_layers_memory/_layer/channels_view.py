"""Show programs the channels of a layer, and let them delete some."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, NoReturn

from channels_layers_memory._layer.backlogs import Backlog, Message
from channels_layers_memory._layer.readers import Listener
from channels_layers_memory._layer.store import Store

if TYPE_CHECKING:
    from channels_layers_memory._layer.store import WaitingReceiver

__all__ = ["Channels", "Waiting"]


class Waiting(tuple["Message | WaitingReceiver | Listener", ...]):
    """The messages or the readers that wait in one channel, at the time of the look.

    Tests of programs use it like an `asyncio.Queue` of messages.
    """

    __slots__ = ()

    def qsize(self) -> int:
        """Return how many messages wait; readers are not counted."""
        return sum(isinstance(one, tuple) for one in self)

    def empty(self) -> bool:
        """Return whether no message waits."""
        return not self.qsize()


class Channels(MutableMapping[str, Waiting]):
    """The channels by name, with the messages or the readers that wait in each.

    Deleting a channel drops them, and all that the layer keeps beside. A name may be deleted
    whether or not anything waits in its channel.
    """

    def __init__(self, store: Store) -> None:
        """Show the channels of a store, as they are at each look."""
        self._store = store

    def __getitem__(self, name: str) -> Waiting:
        waiting = self._store.channels.get(name)
        listener = self._store.listeners().get(name)
        # The first message that waits may have been given to the listener already.
        given = () if listener is None or listener.given is None else (listener.given,)
        # A copy: whoever changed the queue itself would break the indices beside it.
        if isinstance(waiting, Backlog | OrderedDict):
            return Waiting((*given, *waiting))
        if waiting is not None:
            return Waiting((waiting,))
        if listener is None:
            raise KeyError(name)
        return Waiting(given or (listener,))

    def __iter__(self) -> Iterator[str]:
        # A copy, since another thread may send in the meantime.
        return iter(tuple(self._store.channels | self._store.listeners()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __delitem__(self, name: str) -> None:
        self._store.remove(name)

    def __setitem__(self, name: str, waiting: Waiting) -> NoReturn:
        raise TypeError(
            "A channel cannot be assigned; it exists while a message waits in it: "
            f"await send({name!r}, message)"
        )

    def __repr__(self) -> str:
        return repr(dict(self))
