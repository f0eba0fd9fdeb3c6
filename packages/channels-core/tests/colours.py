"""One table of behaviours for both colours of consumers.

A test writes a consumer's methods once, as generators that yield each call which the coroutine
colour awaits: `yield self.accept()`.
"""

import functools
from collections.abc import Callable, Generator
from inspect import isawaitable
from types import new_class
from typing import Any

import pytest

from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels_core.typing import JsonOptions

__all__ = ["both_colours", "consumer", "throw"]

both_colours = pytest.mark.parametrize("colour", ["async", "sync"])

_BASES: dict[tuple[str, bool], type] = {
    ("async", False): AsyncWebsocketConsumer,
    ("async", True): AsyncJsonWebsocketConsumer,
    ("sync", False): WebsocketConsumer,
    ("sync", True): JsonWebsocketConsumer,
}

Method = Callable[..., Generator[Any, Any, Any]]


def consumer(colour: str, *, json: bool = False, **members: Any) -> Any:
    """Return a consumer class of a colour, with generator functions as its methods, and options."""
    colouring = _in_async if colour == "async" else _in_sync
    options = {name: members.pop(name) for name in JsonOptions.__annotations__ if name in members}
    namespace = {
        name: colouring(member) if callable(member) and _is_generator(member) else member
        for name, member in members.items()
    }
    return new_class("Program", (_BASES[colour, json],), options, lambda own: own.update(namespace))


def throw(error: BaseException) -> Any:
    """Raise an error, as `yield throw(...)`, where a bare raise would leave no generator."""
    raise error


def _is_generator(member: Any) -> bool:
    return bool(getattr(getattr(member, "__code__", None), "co_flags", 0) & 0x20)


def _in_async(method: Method) -> Callable[..., Any]:
    @functools.wraps(method)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps = method(self, *args, **kwargs)
        resume: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                return end.value
            try:
                result = await step if isawaitable(step) else step
            except BaseException as error:  # noqa: BLE001 - handed to the method
                resume = functools.partial(steps.throw, error)
            else:
                resume = functools.partial(steps.send, result)

    return run


def _in_sync(method: Method) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps = method(self, *args, **kwargs)
        result = None
        while True:
            try:
                result = steps.send(result)
            except StopIteration as end:
                return end.value

    return run
