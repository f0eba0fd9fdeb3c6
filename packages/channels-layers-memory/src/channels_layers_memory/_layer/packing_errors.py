"""Say which value of a message cannot be packed, and where it is."""

import json
import reprlib
from collections.abc import Iterator
from typing import Any, Final

import msgpack

__all__ = ["explain"]

_HINT: Final = (
    "expected None, bool, int, float, str, bytes, or a list or dict of these. Send what stands "
    'for it, such as str(value) or a primary key, or set CONFIG {"isolation": "deepcopy"} for '
    "this layer to pass objects"
)
_SHOWN: Final = 80


def explain(message: dict[Any, Any], error: Exception) -> str:
    """Find the value because of which a message could not be packed.

    Without recursion: the message may be nested more deeply than Python can call, or contain
    itself.

    Args:
        message: The message.
        error: What packing raised.

    Returns:
        The path of the value, what is wrong with it and what to do.
    """
    if fault := _key_fault(message):
        return f"message: {fault}"
    open_steps = [_steps("message", message)]
    open_ids = [id(message)]
    deepest, depth = "message", 1
    while open_steps:
        for path, value in open_steps[-1]:
            if isinstance(value, dict | list | tuple):
                if id(value) in open_ids:
                    return f"{path}: this {_name(value)} contains itself"
                if isinstance(value, dict) and (fault := _key_fault(value)):
                    return f"{path}: {fault}"
                open_steps.append(_steps(path, value))
                open_ids.append(id(value))
                if len(open_ids) > depth:
                    deepest, depth = path, len(open_ids)
                break
            if fault := _value_fault(value):
                return f"{path}: {fault}"
        else:
            open_steps.pop()
            open_ids.pop()
    # Each value is sound by itself, so that it is the nesting.
    return f"{deepest[:_SHOWN]}...: {depth} levels deep, where msgpack gave up: {error!r}"


def _steps(path: str, container: Any) -> Iterator[tuple[str, object]]:
    """Yield the values of a container, each with its path."""
    if isinstance(container, dict):
        for key, value in container.items():
            yield f"{path}[{json.dumps(key)}]", value
    else:
        for index, value in enumerate(container):
            yield f"{path}[{index}]", value


def _key_fault(container: dict[Any, Any]) -> str | None:
    for key in container:
        if not isinstance(key, str):
            return f"its key {reprlib.repr(key)} is of type {_name(key)}; expected str"
        if fault := _value_fault(key):
            return f"its key {key!a} is a {fault}"
    return None


def _value_fault(value: object) -> str | None:
    """Ask msgpack about a single value, so that there is one judge."""
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
