"""Copy a message for its receivers, as a network layer would, or by `copy.deepcopy` on request.

msgpack is loaded with the first message that needs it; most are flat.
"""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

__all__ = ["ISOLATIONS", "MakeCopy", "Payload", "deepcopied", "packed"]

# Any: the values of a message are the program's own.
MakeCopy: TypeAlias = Callable[[], dict[str, Any]]
#: A copy for one receiver, or a function that makes a copy for each of several.
Payload: TypeAlias = dict[str, Any] | MakeCopy


if TYPE_CHECKING:
    from typing import Protocol

    class Encode(Protocol):
        """Copies a message, so that nothing that its sender does afterwards changes it."""

        def __call__(self, message: object, *, for_several: bool = False) -> Payload:
            """Return the copy for one receiver, or a function that makes one for each of several.

            Raises:
                TypeError: The message is refused.
            """


# The limits of msgpack: of an int, and of the length of str and bytes.
_LEAST: Final = -(2**63)
_GREATEST: Final = 2**64 - 1
_LONGEST: Final = 2**32 - 1
#: How msgpack packs `b""`.
_EMPTY_BYTES: Final = b"\xc4\x00"


def packed(message: object, *, for_several: bool = False) -> Payload:  # noqa: C901 - the price of no call for each value
    """Pack a message once with msgpack.

    Returns:
        A copy, or a function that makes copies if they are for several receivers. As over a
        network, tuples become lists, and instances of subclasses become instances of the plain
        type.

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
            return message.copy().copy if for_several else message.copy()
    message = _require_dict(message)
    import msgpack

    try:
        data = _pack(message)
        copied = _unpack(data)
    except (TypeError, ValueError, OverflowError, BufferError, RecursionError) as error:
        from channels_layers_memory._layer.packing_errors import explain_packing_error

        raise TypeError(explain_packing_error(message, error)) from error
    return partial(msgpack.unpackb, data) if for_several else copied


def _pack(message: dict[Any, Any]) -> bytes:
    import msgpack

    try:
        # Faster by a fifth, but refuses tuples and instances of subclasses.
        data: bytes = msgpack.packb(message, strict_types=True)
    except TypeError:
        data = b""
    return data or msgpack.packb(message)


def _unpack(data: bytes) -> dict[str, Any]:
    """Unpack a message, and require that all its keys are str: msgpack packs keys of any type."""
    import msgpack

    message: dict[str, Any]
    # msgpack refuses keys that are neither str nor bytes. So if nothing at all is bytes, every key
    # is a str. A hook for each dict would take half as long again.
    if _EMPTY_BYTES not in data:
        try:
            message = msgpack.unpackb(data, max_bin_len=0)
        except (TypeError, ValueError):
            pass  # There are bytes, or a key is of another type.
        else:
            return message
    message = msgpack.unpackb(data, strict_map_key=False, object_hook=_require_str_keys)
    return message


def _require_str_keys(part: dict[Any, Any]) -> dict[Any, Any]:
    "".join(part)  # the quickest way
    return part


def deepcopied(message: object, *, for_several: bool = False) -> Payload:
    """Copy a message deeply, whatever it holds.

    Raises:
        TypeError: The message is not a dict.
    """
    copied: dict[str, Any] = copy.deepcopy(_require_dict(message))
    # A subclass of dict may be callable, and would be taken for a function.
    one_is_enough = type(copied) is dict and not for_several
    return copied if one_is_enough else partial(copy.deepcopy, copied)


#: The values of the layer's option `isolation`.
ISOLATIONS: Final[Mapping[str, Encode]] = {"msgpack": packed, "deepcopy": deepcopied}


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
