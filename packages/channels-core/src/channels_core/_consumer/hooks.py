"""Methods and attributes that Channels adds to consumers, without breaking programs that use them.

A program may already have a method or an attribute with a name that Channels adds. So Channels
calls a program's method as a hook only if the program has marked it with `hook`; any other method
of that name is the program's own. A `readable` attribute has our value until the program sets it.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from channels_core._consumer.classes import is_framework

__all__ = [
    "find_hook",
    "hook",
    "is_hook",
    "is_readable",
    "new_hook",
    "readable",
    "refuse_unknown_hooks",
]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK: Final = "_channels_hook"
_OVERRIDES: Final = "overrides"
_IS_NEW: Final = "is new"


def hook(function: FunctionT) -> FunctionT:
    """Mark a method as the hook of its name, which Channels is to call.

    Without the mark, Channels does not call a program's method of that name. The hooks are
    `report_exception` of every consumer and `invalid_frame` of a WebSocket consumer.
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
        above = (vars(each).get(name) for each in consumer.__mro__[1:])
        if getattr(value, _MARK, None) == _OVERRIDES and not any(map(is_hook, above)):
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
