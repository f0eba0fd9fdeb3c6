"""Copy a message for its receivers: as over a network, or deeply where a project asks for it."""

import copy
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import msgpack

from channels_layers_memory._layer.packing_errors import explain

__all__ = ["ISOLATIONS", "Encode", "Payload", "deepcopied", "packed", "shared"]

# Any: the values of a message are the program's own.
MakeCopy: TypeAlias = Callable[[], dict[str, Any]]
#: The copy that one receiver may keep, or what makes a copy for each of several.
Payload: TypeAlias = dict[str, Any] | MakeCopy
Encode: TypeAlias = Callable[[object], Payload]

# What msgpack packs.
_LEAST: Final = -(2**63)
_GREATEST: Final = 2**64 - 1
_LONGEST: Final = 2**32 - 1


def packed(message: object) -> Payload:  # noqa: C901 - the price of no call for each value
    """Pack a message once with msgpack.

    Returns:
        Its copy or copies, in which tuples have become lists, and instances of subclasses
        instances of the plain type, as over any network layer.

    Raises:
        TypeError: It is no dict, or holds what cannot be packed; the text names the path.
    """
    # Most messages are flat and of plain values: to copy such a one has the same result, and
    # what would be refused is left to msgpack to refuse. Exact types only, for instances of
    # subclasses would arrive as they are. This is where the time of a send goes.
    if type(message) is dict:
        for key, value in message.items():
            if type(key) is not str or not key.isascii():
                break
            kind = type(value)
            if kind is str:
                if not (value.isascii() and len(value) <= _LONGEST) and not _is_packable(value):
                    break
            elif kind is int:
                if not _LEAST <= value <= _GREATEST:
                    break
            elif kind is bytes:
                if len(value) > _LONGEST:
                    break
            elif kind is not bool and kind is not float and value is not None:
                break
        else:
            return message.copy()
    message = _require_dict(message)
    try:
        data = msgpack.packb(message)
        # Keys of any type can be packed. To ask whether all are str, nothing is quicker than
        # join(); that its result takes the dict's place does not matter here.
        msgpack.unpackb(data, strict_map_key=False, object_hook="".join)
    except (TypeError, ValueError, OverflowError, BufferError, RecursionError) as error:
        raise TypeError(explain(message, error)) from error
    return partial(msgpack.unpackb, data)


def deepcopied(message: object) -> Payload:
    """Copy a message deeply, whatever it holds.

    Raises:
        TypeError: It is no dict.
    """
    return partial(copy.deepcopy, copy.deepcopy(_require_dict(message)))


#: The values of the layer's option `isolation`.
ISOLATIONS: Final[Mapping[str, Encode]] = {"msgpack": packed, "deepcopy": deepcopied}


def shared(payload: Payload) -> Payload:
    """Make a payload fit for more than one receiver."""
    return payload if callable(payload) else payload.copy


class _NotADictError(TypeError, AssertionError):
    """What is to be sent is no message; tests for Channels 4 know it as an AssertionError."""


def _require_dict(message: object) -> dict[Any, Any]:
    if not isinstance(message, dict):
        raise _NotADictError(
            f"A message must be a dict, not {type(message).__name__}: {reprlib.repr(message)}"
        )
    return message


def _is_packable(text: str) -> bool:
    try:
        return len(text.encode()) <= _LONGEST
    except UnicodeEncodeError:  # a lone surrogate
        return False
