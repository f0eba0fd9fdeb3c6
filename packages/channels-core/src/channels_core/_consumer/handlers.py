"""Which methods of a consumer a message may reach."""

from inspect import getattr_static
from typing import Final

from channels_core._consumer.classes import class_of, is_framework, server_prefixes
from channels_core._consumer.hooks import is_hook
from channels_core.typing import Message

__all__ = ["find_handlers", "get_handler_name", "is_free", "is_overridden", "may_reach"]

# The beginning and the end of a connection, which only its server knows.
_OF_SERVERS: Final = frozenset(
    {"websocket_connect", "websocket_disconnect", "http_request", "http_disconnect"}
)
# Programs send this over the layer to inject a frame, as if the client had sent it.
_FRAME: Final = "websocket_receive"

# Callable attributes that a consumer sets on itself.
_ATTRIBUTES: Final = frozenset({"base_send", "channel_receive"})

# Channels 4 does not have these names, so a program may have handlers under them. A message of the
# layer reaches the program's methods and not ours.
_NOT_RESERVED: Final = frozenset(
    {
        "close_code",
        "close_reason",
        "deny",
        "invalid_frame",
        "is_open",
        "join_group",
        "leave_group",
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
        raise ValueError(
            f"Malformed type in message (expected a str, got {message['type']!r:.100})"
        ) from None
    if name.startswith("_"):
        raise ValueError("Malformed type in message (leading underscore)")
    return name


def find_handlers(consumer: type) -> dict[str, bool]:
    """Return a consumer class's handlers: by name, whether a layer's message may reach it."""
    return {
        name: reach for name in dir(consumer) if (reach := may_reach(consumer, name)) is not None
    }


def is_overridden(consumer: object, name: str) -> bool:
    """Return whether a program has overridden a method of Channels."""
    if name in vars(consumer):
        return True
    kind = type(consumer)
    # What Python finds is compared: a test may have put another method in the class meanwhile.
    found = getattr(kind, name)
    not_overridden = class_of(kind).not_overridden
    if not_overridden.get(name) is found:
        return False
    owner = next(each for each in kind.__mro__ if name in vars(each))
    if not is_framework(owner):
        return True
    not_overridden[name] = found
    return False


def is_free(name: str, value: object) -> bool:
    """Return whether a program's own method of this name is independent of ours."""
    return name in _NOT_RESERVED and not is_hook(value)


def may_reach(consumer: object, name: str) -> bool | None:
    """Return who may reach an attribute of a consumer.

    Args:
        consumer: A consumer class, or an instance for its own attributes as well.
        name: A handler's name.

    Returns:
        True: the server and the channel layer. False: the server only. None: nobody.
    """
    if name.startswith("_"):
        return None
    # Static: nothing of the program's runs before a message asks for it.
    value = getattr_static(consumer, name, None)
    if value is None:
        value = getattr(consumer, name, None)  # of a program's own __getattr__
    if isinstance(value, type) or not (callable(value) or hasattr(value, "__get__")):
        return None
    if name in _OF_SERVERS:
        return False
    if name == _FRAME:
        return True
    kind = consumer if isinstance(consumer, type) else type(consumer)
    for ancestor in kind.__mro__:
        ours = vars(ancestor)
        reserved = name in ours and is_framework(ancestor)
        if reserved and (ours[name] is value or not is_free(name, value)):
            return False if name.startswith(server_prefixes(ancestor)) else None
    return None if name in _ATTRIBUTES else True
