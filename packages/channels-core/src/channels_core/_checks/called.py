"""Read off the code of a consumer class what its handlers call, without running any of it."""

from collections.abc import Collection, Iterator
from types import CodeType
from typing import Any, Final

from channels_core._consumer.classes import is_framework

__all__ = ["handler_that_calls"]

#: Where wrappers of functions keep them: a property, those of `functools`, methods of a class, and
#: decorators.
_INNER: Final = ("fget", "func", "__func__", "__wrapped__")
#: How often one wrapper may stand in another one.
_DEEPEST: Final = 20


def handler_that_calls(consumer: type, names: Collection[str]) -> str | None:
    """Return the name of a handler that calls something, itself or by other methods.

    Args:
        consumer: The class of a consumer. Handlers are the methods of the program that Channels
            calls: those that override one of ours, those named after a message of a server, and
            those whose only parameter is `event`.
        names: Names of attributes and functions, such as `group_add`.

    Returns:
        The first handler, `connect` before all others; None if there is no such handler.
    """
    handlers = sorted(_handlers(consumer), key=lambda name: (name != "connect", name))
    return next((name for name in handlers if _calls(consumer, name, names)), None)


def _handlers(consumer: type) -> Iterator[str]:
    ours = {name for each in consumer.__mro__ if _is_ours(each) for name in vars(each)}
    for name in {name for each in consumer.__mro__ if not _is_ours(each) for name in vars(each)}:
        by_name = name in ours or name.startswith(("websocket_", "http_"))
        is_event = any(_takes_event(code) for code in _codes(consumer, name))
        if (by_name or is_event) and not name.startswith("_channels"):
            yield name


def _is_ours(ancestor: type) -> bool:
    return is_framework(ancestor)


def _takes_event(code: CodeType) -> bool:
    return code.co_varnames[: code.co_argcount] == ("self", "event")


def _calls(consumer: type, start: str, names: Collection[str]) -> bool:
    """Tell whether a method reaches one of the names, by whatever methods of the program."""
    reached, waiting = {start}, [start]
    while waiting:
        for code in _codes(consumer, waiting.pop()):
            mentioned = _mentioned(code)
            if not mentioned.isdisjoint(names):
                return True
            waiting += mentioned - reached
            reached |= mentioned
    return False


def _codes(consumer: type, name: str) -> Iterator[CodeType]:
    """Yield the code of a method in each class of the program: one may call that of its base."""
    for ancestor in consumer.__mro__:
        if name in vars(ancestor) and not _is_ours(ancestor):
            code = getattr(_function(vars(ancestor)[name]), "__code__", None)
            if isinstance(code, CodeType):
                yield code


def _function(value: Any) -> Any:
    """Return the function in what stands for a method: a property, a decorator or the like."""
    for _ in range(_DEEPEST):
        inner = next((name for name in _INNER if hasattr(value, name)), None)
        if inner is None:
            break
        value = getattr(value, inner)
    return value


def _mentioned(code: CodeType) -> set[str]:
    """Return the names in a function's code, and in that of the functions within it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _mentioned(constant)
    return names
