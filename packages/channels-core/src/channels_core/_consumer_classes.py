"""What Channels knows about consumer classes: whose they are, their options, handlers and hooks.

Programs choose the names in their consumers freely. So the facts about a class are kept here, and
not as attributes of the class. They decide three things:

- Which methods a message may reach (`may_reach`). Anybody who can send to the channel layer names
  the method to call. So a message of the layer reaches methods that the program has written, and
  neither those of Channels and plugins nor those for the beginning and the end of a connection.
  Names with a leading underscore are never reached.
- Which methods are hooks (`find_hook`). A program may already have a method with a name that
  Channels adds. So Channels calls a program's method as a hook only if the program has marked it
  with `hook`; any other method of that name is the program's own.
- Which attributes are ours (`readable`): such an attribute has our value until the program sets it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Generator, Mapping
from inspect import getattr_static
from types import FunctionType
from typing import Any, Final, NoReturn, TypeAlias, TypeVar
from weakref import ref

from channels_core.exceptions import StopConsumer
from channels_core.typing import Message

__all__ = [
    "ENDINGS",
    "STOP",
    "ConsumerClass",
    "class_of",
    "describe",
    "direct",
    "find_direct",
    "find_handlers",
    "find_hook",
    "framework",
    "get_handler_name",
    "hook",
    "is_framework",
    "is_free",
    "is_hook",
    "is_overridden",
    "is_readable",
    "may_reach",
    "new_hook",
    "readable",
    "refuse_unknown_hooks",
    "shortcut",
]

ClassT = TypeVar("ClassT", bound=type)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

#: The messages of a server after which it sends nothing more.
ENDINGS: Final = frozenset({"websocket.disconnect", "http.disconnect"})

#: By name, whether a message of the channel layer may reach the method.
Handlers: TypeAlias = dict[str, bool]
#: A handler of Channels, and the companion's method to call instead; see `shortcut`.
Shortcut: TypeAlias = tuple[Callable[..., Any], Callable[..., Any]]


class ConsumerClass:
    """The facts about one consumer class.

    Attributes:
        is_framework: Whether the class belongs to Channels or a plugin, and not to a program.
        companion: The class of the companion that each of its consumers has, or a function that
            returns it.
        runs_in_threads: Whether its handlers are ordinary methods.
        options: The values of the options for this class, by keyword of the class statement.
        own_options: The values that this class itself gives, or their defaults if it brings them.
        prefixes: Handlers of Channels and plugins that begin so are for messages of the server.
        decode: Does what `receive` of our JSON consumer does, if the class has that; None if not.
        sends_directly: Whether no other class's `send` stands between that of our WebSocket
            consumer and that of the base of all consumers.
        sends_json_directly: The same between `send_json` and `send` of our WebSocket consumer.
        not_overridden: By name, methods that were found to belong to Channels or a plugin.
    """

    __slots__ = (
        "_by_type",
        "_connection",
        "_consumer",
        "_handlers",
        "companion",
        "decode",
        "is_framework",
        "not_overridden",
        "options",
        "own_options",
        "prefixes",
        "runs_in_threads",
        "sends_directly",
        "sends_json_directly",
    )

    def __init__(self, consumer: type) -> None:
        """Inherit the facts about the class's bases."""
        number = id(consumer)
        # Nothing here keeps the class alive: programs count on it that what belongs to their class,
        # such as receivers of signals, ends with it.
        self._consumer = ref(consumer, lambda _: _classes.pop(number))
        self.is_framework: bool = False
        self.companion: Any = None
        # These three are found when they are first used; None before.
        self._connection: Any = None
        self._handlers: Handlers | None = None
        self._by_type: dict[str, tuple[str, bool, Shortcut | None]] | None = None
        self.runs_in_threads: bool = False
        self.options: dict[str, Any] = {}
        self.own_options: dict[str, Any] = {}
        self.prefixes: tuple[str, ...] = ()
        self.not_overridden: dict[str, object] = {}
        self.decode: Callable[..., Any] | None = None
        self.sends_directly: bool = False
        self.sends_json_directly: bool = False
        for base in reversed(consumer.__mro__[1:]):
            known = _classes.get(id(base))
            if known is None:
                continue
            self.options.update(known.own_options)
            # Not what a program's class has inherited: it may be a mixin that stands before one of
            # ours, derived from a base of it.
            if known.is_framework:
                self.companion = known.companion or self.companion
                self.runs_in_threads = known.runs_in_threads or self.runs_in_threads
                self.prefixes = known.prefixes or self.prefixes

    # Not by one `__getattr__`, with which each attribute of this class would take 0.05 us, and a
    # frame reads some.

    @property
    def connection(self) -> Any:
        """The class of the companion.

        It is found when it is first used: a program imports consumers in many processes that serve
        no connection.
        """
        if self._connection is None:
            found = self.companion
            self._connection = found if found is None or isinstance(found, type) else found()
        return self._connection

    @property
    def handlers(self) -> Handlers:
        """By name, whether a message of the channel layer may reach the method.

        False if only the server's messages may. Other names are not in it. The table is made when
        it is first used: it takes 0.2 ms, and a program imports more classes than it serves.
        """
        if self._handlers is None:
            consumer = self._consumer()
            assert consumer is not None  # whoever asks has the class, or an instance of it
            self._handlers = find_handlers(consumer)
        return self._handlers

    @property
    def by_type(self) -> dict[str, tuple[str, bool, Shortcut | None]]:
        """The same by the usual spelling of the message's type.

        Each has the method's name, and what to call instead of it; see `shortcut`.
        """
        if self._by_type is None:
            consumer = self._consumer()
            assert consumer is not None  # as above
            self._by_type = {
                name.replace("_", "."): (name, reach, self._find_shortcut(consumer, name))
                for name, reach in self.handlers.items()
            }
        return self._by_type

    def _find_shortcut(self, consumer: type, name: str) -> Shortcut | None:
        """Return a handler of the class and what to call instead; None if it is to be called."""
        if name not in _shortcuts:
            return None
        method, function = _shortcuts[name]
        found = next((vars(each)[name] for each in consumer.__mro__ if name in vars(each)), None)
        if found is not method or _finds_itself(consumer):
            return None
        return method, getattr(self.connection, function)


def _finds_itself(consumer: type) -> bool:
    """Return whether a class looks up its attributes itself, and may find another method."""
    own: object = consumer.__getattribute__
    return own is not object.__getattribute__


# By the `id` of the class, for as long as the class exists. Each connection asks several times, and
# a dictionary with weak keys would take 0.5 us.
_classes: Final[dict[int, ConsumerClass]] = {}


def class_of(consumer: type) -> ConsumerClass:
    """Return the facts about a consumer class."""
    known = _classes.get(id(consumer))
    # An `__init_subclass__` of a program need not call that of Channels.
    return record(consumer) if known is None else known


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


def describe(consumer: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Record a new consumer class.

    Args:
        consumer: The class.
        options: The keywords of its class statement.

    Returns:
        The keywords that are not options.
    """
    known = record(consumer)
    rest = dict(options)
    for name in known.options.keys() & rest.keys():
        known.options[name] = known.own_options[name] = rest.pop(name)
    return rest


def framework(
    connection: Any = None,
    *,
    runs_in_threads: bool = False,
    prefixes: tuple[str, ...] = (),
    **options: Any,
) -> Callable[[ClassT], ClassT]:
    """Mark a consumer class, or a base of one, as part of Channels or of a plugin.

    Messages of the channel layer do not reach the methods of such a class, and `is_overridden`
    returns whether a program has overridden one.

    Args:
        connection: The class of its consumers' companions, a subclass of `Connection`, or a
            function that returns it, called for the first consumer; None for the one of the base.
        runs_in_threads: Whether its handlers are ordinary methods.
        prefixes: Beginnings of the names of its handlers for the server's messages, such as
            `("lines_",)`; no message of the layer reaches these.
        options: The keywords that class statements of its subclasses may have, with their
            default values.
    """

    def mark(consumer: ClassT) -> ClassT:
        known = record(consumer)
        known.is_framework = True
        known.companion = connection or known.companion
        known.runs_in_threads = runs_in_threads or known.runs_in_threads
        known.prefixes = known.prefixes + prefixes
        known.own_options = {**options, **known.own_options}
        known.options = {**known.options, **known.own_options}
        return consumer

    return mark


# By the method: a mark on it would be copied to a program's wrapper by `functools.wraps`.
_direct: Final[dict[Any, Callable[..., Any]]] = {}


class _Stop:
    """May be returned by a function of `direct`: to await it is to raise `StopConsumer`.

    The connection looks for it instead after its first message, since to raise and to catch an
    exception takes 0.5 us.
    """

    def __await__(self) -> Generator[Any, Any, NoReturn]:
        raise StopConsumer


#: What a function of `direct` returns instead of raising `StopConsumer`.
STOP: Final = _Stop()


def direct(function: Callable[..., Any]) -> Callable[[FunctionT], FunctionT]:
    """Mark a coroutine method of Channels as one that only awaits what a function returns.

    Whoever would await the method may call that function instead, which saves a coroutine.

    Args:
        function: Called with the consumer and the method's arguments. Returns an awaitable, or None
            if nothing is to be awaited; or `STOP` instead of raising `StopConsumer`.
    """

    def mark(method: FunctionT) -> FunctionT:
        _direct[method] = function
        return method

    return mark


def find_direct(method: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the function whose result a method awaits; None if it does more, or is not known."""
    return _direct.get(method) if type(method) is FunctionType else None


# By the handler's name: the method, and the name of the companion's method to call instead.
_shortcuts: Final[dict[str, tuple[Callable[..., Any], str]]] = {}


def shortcut(method: Callable[..., Any], function: str) -> None:
    """Have a companion call one of its methods instead of a coroutine handler of Channels.

    Args:
        method: The handler, which is called if a program or a test has overridden it.
        function: The name of the companion's method. It is called with the consumer and the
            message, and returns what to await, or None.
    """
    _shortcuts[method.__name__] = method, function


_MARK: Final = "_channels_hook"
_OVERRIDES: Final = "overrides"
_IS_NEW: Final = "is new"


def hook(function: FunctionT) -> FunctionT:
    """Mark a method as the hook of its name, which Channels is to call.

    Without the mark, Channels does not call a program's method of that name. The hooks are
    `report_exception` and `missed` of every consumer, and `invalid_frame` of a WebSocket consumer.
    """
    vars(function)[_MARK] = _OVERRIDES
    return function


def new_hook(function: FunctionT) -> FunctionT:
    """Mark a method of Channels or of a plugin as a hook that programs may override."""
    vars(function)[_MARK] = _IS_NEW
    return function


def is_hook(method: object) -> bool:
    """Return whether a method is marked as a hook."""
    return getattr(method, _MARK, None) in (_OVERRIDES, _IS_NEW)


def find_hook(consumer: object, name: str) -> Callable[..., Any]:
    """Return the method of a consumer to call as a hook.

    A method that overrides a marked method of the program counts as marked, too.
    """
    method: Callable[..., Any] = getattr(consumer, name)
    if not is_hook(method):
        marked = next(each for each in type(consumer).__mro__ if is_hook(vars(each).get(name)))
        if is_framework(marked):
            method = vars(marked)[name].__get__(consumer)
    return method


def refuse_unknown_hooks(consumer: type) -> None:
    """Raise a `TypeError` if a program's class marks a method that overrides no hook."""
    for name, value in vars(consumer).items():
        if getattr(value, _MARK, None) != _OVERRIDES:
            continue
        if not any(is_hook(vars(each).get(name)) for each in consumer.__mro__[1:]):
            raise TypeError(
                f"{consumer.__name__}.{name} is marked as a hook, but there is no hook of this name"
            )


def readable(read: Callable[[Any], object]) -> Any:
    """Return a class attribute with a computed value, which a program may replace.

    It is not a property, since a program could not set that.

    Args:
        read: Computes the value for a consumer.

    Returns:
        The attribute; typed as Any, so that the class can annotate the type of the value.
    """
    return _Readable(read)


def is_readable(consumer: type, name: str) -> bool:
    """Return whether the attribute of a consumer class with a name is `readable`."""
    return type(getattr(consumer, name, None)) is _Readable


class _Readable:
    def __init__(self, read: Callable[[Any], object]) -> None:
        self._read = read

    def __get__(self, consumer: object | None, owner: type) -> object:
        return self if consumer is None else self._read(consumer)


# Only the server reports the beginning and the end of a connection.
_OF_SERVERS: Final = frozenset(
    {"websocket_connect", "websocket_disconnect", "http_request", "http_disconnect"}
)
# A program may send this over the layer, to have a frame handled as if the client had sent it.
_FRAME: Final = "websocket_receive"

# Callable attributes that a consumer sets on itself.
_ATTRIBUTES: Final = frozenset({"base_send", "channel_receive"})

# Channels 4 does not have these names, so a program may have handlers with them. The layer's
# messages reach such a handler, but not our method of this name.
_NOT_RESERVED: Final = frozenset(
    {
        "close_code",
        "close_reason",
        "deny",
        "invalid_frame",
        "is_open",
        "join_group",
        "leave_group",
        "missed",
        "report_exception",
    }
)


def get_handler_name(message: Message) -> str:
    """Return the name of the method that handles a message: its type with `_` for each `.`.

    Raises:
        ValueError: The type is missing, is not a str, or begins with an underscore or a dot.
    """
    try:
        name: str = message["type"].replace(".", "_")
    except KeyError:
        raise ValueError("Incoming message has no 'type' attribute") from None
    except (AttributeError, TypeError):
        got = reprlib.repr(message["type"])  # it may be a long or a deep list
        raise ValueError(f"Malformed type in message (expected a str, got {got:.100})") from None
    if name.startswith("_"):
        raise ValueError("Malformed type in message (leading underscore)")
    return name


def find_handlers(consumer: type) -> Handlers:
    """Return the handlers of a consumer class, as `ConsumerClass.handlers` has them."""
    # As `getattr_static` finds them, which would look through the bases for each name.
    values: dict[str, object] = {}
    for each in reversed(consumer.__mro__):
        values.update(vars(each))
    handlers = {}
    for name in dir(consumer):
        reach = _who_reaches(consumer, consumer, name, values.get(name))
        if reach is not None:
            handlers[name] = reach
    return handlers


def is_overridden(consumer: object, name: str) -> bool:
    """Return whether a program has overridden a method of Channels."""
    if name in consumer.__dict__:
        return True
    kind = type(consumer)
    # Compare the method that the class has now: a test may have replaced it.
    found = getattr(kind, name)
    not_overridden = _classes[id(kind)].not_overridden
    if not_overridden.get(name) is found:
        return False
    owner = next(each for each in kind.__mro__ if name in vars(each))
    if not is_framework(owner):
        return True
    not_overridden[name] = found
    return False


def is_free(name: str, value: object) -> bool:
    """Return whether a program may use a name of ours for a method that is not an override."""
    return name in _NOT_RESERVED and not is_hook(value)


def may_reach(consumer: object, name: str) -> bool | None:
    """Return who may reach an attribute of a consumer.

    Args:
        consumer: A consumer class, or an instance for its own attributes as well.
        name: A handler's name.

    Returns:
        True if the server's and the layer's messages may, False if only the server's may, None if
        no message may.
    """
    kind = consumer if isinstance(consumer, type) else type(consumer)
    # Static, so that no property of the program runs here.
    return _who_reaches(consumer, kind, name, getattr_static(consumer, name, None))


def _who_reaches(consumer: object, kind: type, name: str, value: Any) -> bool | None:
    """Return who may reach an attribute, as `may_reach` does.

    Args:
        consumer: A consumer class, or an instance.
        kind: The class.
        name: A handler's name.
        value: The attribute as `getattr_static` finds it.
    """
    if name.startswith("_"):
        return None
    if value is None:
        value = getattr(consumer, name, None)  # from a program's own __getattr__
    if isinstance(value, type) or not (callable(value) or hasattr(value, "__get__")):
        return None
    if name in _OF_SERVERS:
        return False
    if name == _FRAME:
        return True
    for ancestor in kind.__mro__:
        ours = vars(ancestor)
        reserved = name in ours and is_framework(ancestor)
        if reserved and (ours[name] is value or not is_free(name, value)):
            return False if name.startswith(server_prefixes(ancestor)) else None
    return None if name in _ATTRIBUTES else True
