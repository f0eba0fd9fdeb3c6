"""Find the value of a message that cannot be packed, for the text of the error."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from typing import Any, Final

import msgpack

__all__ = ["explain_packing_error"]

_HINT: Final = (
    "expected None, bool, int, float, str, bytes, or a list or dict of these. Send a plain value "
    'instead, such as str(value) or a primary key, or set CONFIG {"isolation": "deepcopy"} for '
    "this layer to pass objects"
)
_SHOWN: Final = 80


def explain_packing_error(message: dict[Any, Any], error: Exception) -> str:
    """Find the value because of which a message could not be packed.

    Args:
        message: The message.
        error: The exception that packing raised.

    Returns:
        The path of the value, its fault, and what to do instead.
    """
    if fault := _key_fault(message):
        return f"message: {fault}"
    # Not recursive: the message may contain itself, or be nested more deeply than Python can call.
    # These are the containers on the way to the current value: as iterators, by identity, and by
    # the index of the current value in each, since a path for each value would take a time that
    # grows with the square of the depth.
    open_steps = [_steps(message)]
    open_ids: dict[int, object] = {id(message): message}
    path = [""]
    deepest, depth = path, 1
    while open_steps:
        for path[-1], value in open_steps[-1]:
            if isinstance(value, dict | list | tuple):
                if id(value) in open_ids:
                    return f"{_joined(path)}: this {_name(value)} contains itself"
                if isinstance(value, dict) and (fault := _key_fault(value)):
                    return f"{_joined(path)}: {fault}"
                open_steps.append(_steps(value))
                open_ids[id(value)] = value
                if len(open_ids) > depth:
                    deepest, depth = path[:_SHOWN], len(open_ids)
                path.append("")
                break
            if fault := _value_fault(value):
                return f"{_joined(path)}: {fault}"
        else:
            open_steps.pop()
            open_ids.popitem()
            path.pop()
    # Each value can be packed by itself, so the nesting is too deep.
    return f"{_joined(deepest)[:_SHOWN]}...: {depth} levels deep, where msgpack gave up: {error!r}"


def _joined(path: list[str]) -> str:
    return "message" + "".join(path)


def _steps(container: Any) -> Iterator[tuple[str, object]]:
    """Yield the values of a container, each with its index."""
    if isinstance(container, dict):
        for key, value in container.items():
            yield f"[{json.dumps(key)}]", value
    else:
        for index, value in enumerate(container):
            yield f"[{index}]", value


def _key_fault(container: dict[Any, Any]) -> str | None:
    for key in container:
        if not isinstance(key, str):
            return f"its key {reprlib.repr(key)} is of type {_name(key)}; expected str"
        if fault := _value_fault(key):
            return f"its key {key!a} is a {fault}"
    return None


def _value_fault(value: object) -> str | None:
    """Return why msgpack does not pack a value by itself, or None if it does."""
    # Most values of a large message, without msgpack's two calls for each.
    if value is None or type(value) is float or (type(value) is int and abs(value) < 2**63):
        return None
    try:
        msgpack.unpackb(msgpack.packb(value))
    except OverflowError:
        return (
            f"{_name(value)} out of range; expected -2**63 to 2**64-1. Send a greater number as str"
        )
    except UnicodeEncodeError as error:
        return (
            f"{_name(value)} with a lone surrogate ({error.object[error.start]!a} at "
            f"{error.start}), which UTF-8 cannot carry"
        )
    except TypeError:
        return f"{_name(value)} cannot cross a channel layer; {_HINT}"
    except (ValueError, BufferError) as error:
        return f"{_name(value)}: {error}"
    return None


def _name(value: object) -> str:
    return type(value).__name__
