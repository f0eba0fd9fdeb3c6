"""The facts about each consumer class: its options, its handlers, and whether it is ours.

Programs choose the names in their consumers freely. So the facts are kept here, and not as
attributes of the class.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

__all__ = ["ConsumerClass", "class_of", "is_framework", "record", "server_prefixes"]


class ConsumerClass:
    """The facts about one consumer class.

    Attributes:
        is_framework: Whether the class belongs to Channels or a plugin, and not to a program.
        connection: The class of the companion that each of its consumers has.
        runs_in_threads: Whether its handlers are ordinary methods.
        options: The values of the options for this class, by keyword of the class statement.
        own_options: The values that this class itself gives, or their defaults if it brings them.
        prefixes: Handlers of Channels and plugins that begin so are for messages of the server.
        handlers: By name, whether a message of the channel layer may reach the method; False if
            only the server's messages may. Other names are not in it.
        by_type: The same by the usual spelling of the message's type, with the method's name.
        not_overridden: By name, methods that were found to belong to Channels or a plugin.
    """

    __slots__ = (
        "__weakref__",
        "by_type",
        "connection",
        "handlers",
        "is_framework",
        "not_overridden",
        "options",
        "own_options",
        "prefixes",
        "runs_in_threads",
    )

    def __init__(self, consumer: type) -> None:
        """Inherit the facts about the class's bases."""
        self.is_framework: bool = False
        self.connection: Any = None
        self.runs_in_threads: bool = False
        self.options: dict[str, Any] = {}
        self.own_options: dict[str, Any] = {}
        self.prefixes: tuple[str, ...] = ()
        self.handlers: dict[str, bool] = {}
        self.by_type: dict[str, tuple[str, bool]] = {}
        self.not_overridden: dict[str, object] = {}
        for base in reversed(consumer.__mro__[1:]):
            known = _classes.get(base)
            if known is None:
                continue
            self.options.update(known.own_options)
            # Not what a program's class has inherited: it may be a mixin that stands before one of
            # ours, derived from a base of it.
            if known.is_framework:
                self.connection = known.connection or self.connection
                self.runs_in_threads = known.runs_in_threads or self.runs_in_threads
                self.prefixes = known.prefixes or self.prefixes


_classes: Final["WeakKeyDictionary[type, ConsumerClass]"] = WeakKeyDictionary()


# Each connection asks several times, and to find a weak reference takes 0.5 us.
_recent: Final[Callable[[type], ConsumerClass]] = lru_cache(maxsize=128)(_classes.__getitem__)


def class_of(consumer: type) -> ConsumerClass:
    """Return the facts about a consumer class."""
    return _recent(consumer)


def record(consumer: type) -> ConsumerClass:
    """Return the facts about a consumer class, and record the class if it is new."""
    known = _classes.get(consumer)
    if known is None:
        known = _classes[consumer] = ConsumerClass(consumer)
    return known


def server_prefixes(consumer: type) -> tuple[str, ...]:
    """Return the prefixes of the handlers that only the server may reach."""
    known = _classes.get(consumer)
    return () if known is None else known.prefixes


def is_framework(consumer: type) -> bool:
    """Return whether a class of a consumer's MRO belongs to Channels or a plugin."""
    known = _classes.get(consumer)
    return known is not None and known.is_framework
