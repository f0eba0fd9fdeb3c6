"""Copy a message for its receivers, as a network layer would, or by `copy.deepcopy` on request."""

import copy
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import msgpack

from channels_layers_memory._layer.packing_errors import explain_packing_error

__all__ = ["ISOLATIONS", "Encode", "Payload", "deepcopied", "packed", "shared"]

# Any: the values of a message are the program's own.
MakeCopy: TypeAlias = Callable[[], dict[str, Any]]
#: A copy for one receiver, or a function that makes a copy for each of several.
Payload: TypeAlias = dict[str, Any] | MakeCopy
Encode: TypeAlias = Callable[[object], Payload]

# The limits of msgpack: of an int, and of the length of str and bytes.
_LEAST: Final = -(2**63)
_GREATEST: Final = 2**64 - 1
_LONGEST: Final = 2**32 - 1


def packed(message: object) -> Payload:  # noqa: C901 - the price of no call for each value
    """Pack a message once with msgpack.

    Returns:
        A copy, or a function that makes copies. As over a network, tuples become lists, and
        instances of subclasses become instances of the plain type.

    Raises:
        TypeError: The message is not a dict, or a value cannot be packed; the text names the path.
    """
    # Most messages are flat and hold plain values. For those a dict's copy() has the same result
    # at a fraction of the cost, which is most of the time of a send. Only exact types count, since
    # a copy would keep instances of subclasses. Everything else, and every value that may be
    # rejected, is left to msgpack.
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
        # msgpack packs keys of any type. join() is the quickest way to check that all keys are str;
        # its result replaces the dict, which does not matter here.
        msgpack.unpackb(data, strict_map_key=False, object_hook="".join)
    except (TypeError, ValueError, OverflowError, BufferError, RecursionError) as error:
        raise TypeError(explain_packing_error(message, error)) from error
    return partial(msgpack.unpackb, data)


def deepcopied(message: object) -> Payload:
    """Copy a message deeply, whatever it holds.

    Raises:
        TypeError: The message is not a dict.
    """
    return partial(copy.deepcopy, copy.deepcopy(_require_dict(message)))


#: The values of the layer's option `isolation`.
ISOLATIONS: Final[Mapping[str, Encode]] = {"msgpack": packed, "deepcopy": deepcopied}


def shared(payload: Payload) -> Payload:
    """Return a payload that serves more than one receiver."""
    return payload if callable(payload) else payload.copy


class _NotADictError(TypeError, AssertionError):
    """The message is not a dict; tests for Channels 4 expect an AssertionError."""


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
