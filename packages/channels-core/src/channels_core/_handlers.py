"""Which methods of a consumer a message may reach."""

from inspect import getattr_static
from typing import Final

from channels_core._options import is_hook
from channels_core.typing import Message

__all__ = ["find_handlers", "get_handler_name", "is_free", "is_overridden", "may_reach"]

# What tells of the beginning and the end of a connection: only its server knows of these.
_OF_SERVERS: Final = frozenset(
    {"websocket_connect", "websocket_disconnect", "http_request", "http_disconnect"}
)
# Ours of these are for what we or servers send.
_PREFIXES: Final = ("websocket_", "http_")
# Programs send themselves a frame under this type, as if the client had.
_FRAME: Final = "websocket_receive"

# What a consumer sets on itself and can be called.
_ATTRIBUTES: Final = frozenset({"base_send", "channel_receive"})

# What other releases of Channels do not have, so that programs may have handlers of these names.
# Theirs are reached, ours are not.
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
        ValueError: The type is missing, no str, or begins with an underscore or a dot.
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
    """Return whether a program has written a method that Channels has as well."""
    owner = next(each for each in type(consumer).__mro__ if name in vars(each))
    return "_channels_framework" not in vars(owner)


def is_free(name: str, value: object) -> bool:
    """Return whether what a program has under this name has nothing to do with ours."""
    return name in _NOT_RESERVED and not is_hook(value)


def may_reach(consumer: object, name: str) -> bool | None:
    """Tell who may reach an attribute of a consumer.

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
        reserved = "_channels_framework" in ours and name in ours
        if reserved and (ours[name] is value or not is_free(name, value)):
            return False if name.startswith(_PREFIXES) else None
    return None if name in _ATTRIBUTES else True
