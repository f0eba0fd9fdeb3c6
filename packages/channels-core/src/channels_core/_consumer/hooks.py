"""Names that we add to consumers, without taking them from programs.

Hooks are methods that a program marks; without the mark, a method of that name is the program's
own. An attribute that a program may read has our value until the program sets it.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from channels_core._consumer.classes import is_framework

__all__ = [
    "find_hook",
    "hook",
    "is_hook",
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

    Without the mark, a method of that name is a program's own business. The hooks are
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
    """Return the method of a consumer that is to be called as a hook.

    An override of a method that the program has marked counts as marked.
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
    """Return an attribute that we compute, until a program sets one of this name.

    Not a property, which a program could not set.

    Args:
        read: Computes the value for a consumer.

    Returns:
        Any: the class that has the attribute tells its type.
    """
    return _Readable(read)


class _Readable:
    def __init__(self, read: Callable[[Any], object]) -> None:
        self._read = read

    def __get__(self, consumer: object | None, owner: type) -> object:
        return self if consumer is None else self._read(consumer)
