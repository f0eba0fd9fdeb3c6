"""System check: the handlers of an async consumer are `async def`, those of a sync one `def`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from inspect import getattr_static
from types import FunctionType
from typing import Any, Final

from django.core import checks

from channels_core._checks.source import parse
from channels_core._consumer_classes import is_framework, is_free
from channels_core.applications import name_that_thing
from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.documentation import see

__all__ = ["check_handlers"]

#: The parameters by which a handler of the layer's messages is recognised.
_EVENT: Final = ("self", "event")


def check_handlers(consumer: type) -> Iterator[checks.CheckMessage]:
    """Check the methods of a consumer class that Channels calls.

    Returns:
        `channels_core.W006`: a method is `async def` where it must be `def`, or the reverse.
    """
    if not issubclass(consumer, AsyncConsumer):
        return
    is_sync = issubclass(consumer, SyncConsumer)
    wrong = []
    for name in dir(consumer):
        method = _function(consumer, name)
        if method is None or name.startswith("_") or _is_ours(method):
            continue
        wants = _is_coroutine_of_ours(consumer, name)
        if wants is None and _parameters(method) == _EVENT:
            wants = not is_sync
        if wants is not None and _differs(method, wants):
            wrong.append(name)
    if wrong:
        names = ", ".join(wrong)
        colour = "a synchronous" if is_sync else "an asynchronous"
        yield checks.Warning(
            f"{name_that_thing(consumer)} is {colour} consumer, and these methods are not right "
            f"for it: {names}.",
            hint="Write 'def' where the method of Channels is 'def', and 'async def' where it is "
            "'async def'; or take the other base class, such as AsyncWebsocketConsumer for "
            "WebsocketConsumer. " + see("System checks", "Handlers"),
            id="channels_core.W006",
        )


def _function(consumer: type, name: str) -> FunctionType | None:
    """Return a function that the program has written; None for a decorated or other object."""
    value = getattr_static(consumer, name)
    return value if isinstance(value, FunctionType) else None


def _is_ours(method: FunctionType) -> bool:
    return method.__module__.startswith("channels_")


def _parameters(method: FunctionType) -> tuple[str, ...]:
    return tuple(inspect.signature(method).parameters)


def _is_coroutine_of_ours(consumer: type, name: str) -> bool | None:
    """Return whether the method of Channels that a program overrides is `async def`.

    Returns:
        None if the program overrides nothing of Channels, or something that is not a function.
    """
    if is_free(name, getattr_static(consumer, name)):
        return None
    for ancestor in consumer.__mro__:
        if is_framework(ancestor) and name in vars(ancestor):
            ours: Any = vars(ancestor)[name]
            return inspect.iscoroutinefunction(ours) if isinstance(ours, FunctionType) else None
    return None


def _differs(method: FunctionType, wants_coroutine: bool) -> bool:
    if inspect.iscoroutinefunction(method):
        return not wants_coroutine
    # One that returns something may return an awaitable, as the wrapper of a decorator does.
    return wants_coroutine and _returns_nothing(method)


def _returns_nothing(method: FunctionType) -> bool:
    """Return whether a method has no `return` with a value; False if its source is unknown."""
    definition = parse(method.__code__)
    if not isinstance(definition, ast.FunctionDef):
        return False
    waiting: list[ast.AST] = [*definition.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            is_none = isinstance(node.value, ast.Constant) and node.value.value is None
            if not is_none:
                return False
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return True
