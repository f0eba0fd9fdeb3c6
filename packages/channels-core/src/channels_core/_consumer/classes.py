"""The facts about each consumer class: its options, its handlers, and whether it is ours.

Programs choose the names in their consumers freely. So the facts are kept here, and not as
attributes of the class.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias
from weakref import ref

__all__ = ["ConsumerClass", "class_of", "is_framework", "record", "server_prefixes"]


#: By name, whether a message of the channel layer may reach the method.
Handlers: TypeAlias = dict[str, bool]


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
            The table is made when it is first used: it takes 0.2 ms, and a program imports more
            classes than it serves.
        by_type: The same by the usual spelling of the message's type, with the method's name.
        find_handlers: Makes `handlers`.
        not_overridden: By name, methods that were found to belong to Channels or a plugin.
    """

    __slots__ = (
        "_consumer",
        "by_type",
        "connection",
        "find_handlers",
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
        number = id(consumer)
        # Nothing here keeps the class alive: programs count on it that what belongs to their class,
        # such as receivers of signals, ends with it.
        self._consumer = ref(consumer, lambda _: _classes.pop(number))
        self.is_framework: bool = False
        self.connection: Any = None
        self.runs_in_threads: bool = False
        self.options: dict[str, Any] = {}
        self.own_options: dict[str, Any] = {}
        self.prefixes: tuple[str, ...] = ()
        self.handlers: Handlers
        self.by_type: dict[str, tuple[str, bool]]
        self.find_handlers: Callable[[type], Handlers] = lambda _: {}
        self.not_overridden: dict[str, object] = {}
        for base in reversed(consumer.__mro__[1:]):
            known = _classes.get(id(base))
            if known is None:
                continue
            self.options.update(known.own_options)
            # Not what a program's class has inherited: it may be a mixin that stands before one of
            # ours, derived from a base of it.
            if known.is_framework:
                self.connection = known.connection or self.connection
                self.runs_in_threads = known.runs_in_threads or self.runs_in_threads
                self.prefixes = known.prefixes or self.prefixes

    def __getattr__(self, name: str) -> Any:
        """Make the tables of handlers when one of them is first used."""
        consumer = self._consumer() if name in {"handlers", "by_type"} else None
        if consumer is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        handlers = self.find_handlers(consumer)
        self.by_type = {name.replace("_", "."): (name, reach) for name, reach in handlers.items()}
        self.handlers = handlers
        return getattr(self, name)


# By the `id` of the class, for as long as the class exists. Each connection asks several times, and
# a dictionary with weak keys would take 0.5 us.
_classes: Final[dict[int, ConsumerClass]] = {}


def class_of(consumer: type) -> ConsumerClass:
    """Return the facts about a consumer class."""
    return _classes[id(consumer)]


def record(consumer: type) -> ConsumerClass:
    """Return the facts about a consumer class, and record the class if it is new."""
    known = _classes.get(id(consumer))
    if known is None:
        known = _classes[id(consumer)] = ConsumerClass(consumer)
    return known


def server_prefixes(consumer: type) -> tuple[str, ...]:
    """Return the prefixes of the handlers that only the server may reach."""
    known = _classes.get(id(consumer))
    return () if known is None else known.prefixes


def is_framework(consumer: type) -> bool:
    """Return whether a class of a consumer's MRO belongs to Channels or a plugin."""
    known = _classes.get(id(consumer))
    return known is not None and known.is_framework
