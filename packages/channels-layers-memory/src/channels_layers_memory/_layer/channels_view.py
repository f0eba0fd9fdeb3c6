"""Show the channels of a layer to those who want to look, and let them delete some."""

from collections.abc import Iterator, MutableMapping
from typing import NoReturn

from channels_layers_memory._layer.backlogs import Message
from channels_layers_memory._layer.listener import Listener
from channels_layers_memory._layer.store import Store, Waiter

__all__ = ["Channels", "Waiting"]


class Waiting(tuple[Message | Waiter | Listener, ...]):
    """The messages or the receivers that wait in one channel, as they were at one look.

    Tests of programs look at it as at an `asyncio.Queue` of messages.
    """

    __slots__ = ()

    def qsize(self) -> int:
        """Return how many messages wait; a receiver is none."""
        return sum(isinstance(one, tuple) for one in self)

    def empty(self) -> bool:
        """Tell whether no message waits."""
        return not self.qsize()


class Channels(MutableMapping[str, Waiting]):
    """What waits in each channel: messages for a receiver, or receivers for a message.

    Deleting a channel drops them, with all that the layer keeps beside; a name may be deleted
    whether or not anything waits.
    """

    def __init__(self, store: Store) -> None:
        """Show the channels of a store, as they are at each look."""
        self._store = store

    def __getitem__(self, name: str) -> Waiting:
        # Not the queue itself: it would not do to change it without the indices beside it.
        waiting = self._store.channels.get(name)
        return Waiting((self._store.listeners()[name],) if waiting is None else waiting)

    def __iter__(self) -> Iterator[str]:
        # A copy, since another thread may send meanwhile.
        return iter(tuple(self._store.channels | self._store.listeners()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __delitem__(self, name: str) -> None:
        self._store.remove(name)

    def __setitem__(self, name: str, waiting: Waiting) -> NoReturn:
        raise TypeError(
            f"A channel comes to be when something waits in it; await send({name!r}, message)"
        )

    def __repr__(self) -> str:
        return repr(dict(self))
