"""Decide which methods of a consumer a message may reach.

Anybody who can send to the channel layer names the method to call. So a message of the layer
reaches methods that the program has written, and neither those of Channels and plugins nor those
for the beginning and the end of a connection. Names with a leading underscore are never reached.
"""

import reprlib
from inspect import getattr_static
from typing import Final

from channels_core._consumer.classes import class_of, is_framework, server_prefixes
from channels_core._consumer.hooks import is_hook
from channels_core.typing import Message

__all__ = ["find_handlers", "get_handler_name", "is_free", "is_overridden", "may_reach"]

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


def find_handlers(consumer: type) -> dict[str, bool]:
    """Return the handlers of a consumer class, as `ConsumerClass.handlers` has them."""
    return {
        name: reach for name in dir(consumer) if (reach := may_reach(consumer, name)) is not None
    }


def is_overridden(consumer: object, name: str) -> bool:
    """Return whether a program has overridden a method of Channels."""
    if name in vars(consumer):
        return True
    kind = type(consumer)
    # Compare the method that the class has now: a test may have replaced it.
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
    if name.startswith("_"):
        return None
    # Static, so that no property of the program runs here.
    value = getattr_static(consumer, name, None)
    if value is None:
        value = getattr(consumer, name, None)  # from a program's own __getattr__
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
