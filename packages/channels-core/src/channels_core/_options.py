"""What we add to a consumer's class, where a program may use the same names for its own.

Options are keywords of the class statement. Hooks are methods that a program marks. What a
program may read has our value until the program gives the name another one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

__all__ = [
    "find_hook",
    "hook",
    "is_hook",
    "readable",
    "refuse_unknown_hooks",
    "take_options",
]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK: Final = "_channels_hook"


def take_options(consumer: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep options in a consumer's class, under private names.

    Args:
        consumer: The class. It and its bases name their options in `_channels_options`.
        given: The keywords of its class statement.

    Returns:
        The keywords that are not options.
    """
    rest = dict(given)
    for ancestor in consumer.__mro__:
        for name in vars(ancestor).get("_channels_options", ()):
            if name in rest:
                setattr(consumer, f"_channels_{name}", rest.pop(name))
    return rest


def hook(function: FunctionT) -> FunctionT:
    """Mark a method as the hook of its name, which Channels is to call.

    Without the mark, a method of that name is a program's own business. The hooks are
    `report_exception` of every consumer and `invalid_frame` of a WebSocket consumer.
    """
    vars(function)[_MARK] = True
    return function


def is_hook(method: object) -> bool:
    """Return whether a method is marked as a hook."""
    return getattr(method, _MARK, False) is True


def find_hook(consumer: object, name: str) -> Callable[..., Any]:
    """Return the method of a consumer that is to be called as a hook.

    An override of a method that the program has marked counts as marked.
    """
    method: Callable[..., Any] = getattr(consumer, name)
    if not is_hook(method):
        marked = next(each for each in type(consumer).__mro__ if is_hook(vars(each).get(name)))
        if "_channels_framework" in vars(marked):
            method = vars(marked)[name].__get__(consumer)
    return method


def refuse_unknown_hooks(consumer: type) -> None:
    """Raise a `TypeError` if a program's class marks a method that overrides no hook."""
    if "_channels_framework" in vars(consumer):
        return
    for name, value in vars(consumer).items():
        above = (vars(each).get(name) for each in consumer.__mro__[1:])
        if is_hook(value) and not any(map(is_hook, above)):
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
