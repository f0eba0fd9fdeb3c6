"""Report each `group_discard` that a program calls in this process.

Memberships that a program ends must not be renewed. A program may call `group_discard` on any layer
object: on the one that the settings configure, or on another one that it has made for the same
store. Layers need not derive from `BaseChannelLayer`, either. So the method of the layer's class is
replaced by one that first reports the call and then does what it did before. This happens when a
connection first joins a group of such a layer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from inspect import getattr_static, isawaitable, iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, Final, TypeAlias

__all__ = ["untold_discard", "watch_discards"]

Tell: TypeAlias = Callable[[object, object], None]
_Told: TypeAlias = tuple[object, ...] | None

_NAME: Final = "group_discard"
_MARK: Final = "_channels_tells"
#: The attribute of such a method with itself, since `functools.wraps` copies the attributes to a
#: program's wrapper, and with the method that it replaces.
_REPLACES: Final = "_channels_replaces"

#: The group and the channel of the discard that has been reported and is still running.
_told: Final[ContextVar[_Told]] = ContextVar("channels_told", default=None)


def watch_discards(layer: Any, tell: Tell) -> None:
    """Have a function called before each `group_discard` of a layer's class.

    A mock of a layer, or of its method, is not changed.

    Args:
        layer: A channel layer with groups; all layers of its class are watched.
        tell: Takes the group and the channel that the program passed, in the thread that calls
            `group_discard`.
    """
    method = getattr(layer, _NAME, None)
    if getattr(method, _MARK, None) is True:
        return  # it reports already; a mock's attribute is another object
    owner: type | None = None
    function: Callable[..., Any] = _look_up
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        function = method.__func__
        kinds = type(method.__self__).__mro__
        owner = next((kind for kind in kinds if vars(kind).get(_NAME) is function), None)
    elif (
        isinstance(method, FunctionType | functools.partial)
        and getattr_static(layer, _NAME, None) is None
    ):
        # The method comes from `__getattr__`, as in the Pub/Sub layer of channels-redis.
        owner = type(layer)
    if owner is not None:
        # A class that is not written in Python does not take attributes.
        with suppress(TypeError, AttributeError):
            setattr(owner, _NAME, _telling(function, tell))


def untold_discard(layer: Any) -> Callable[[str, str], Any]:
    """Return the `group_discard` of a layer without the report, for a membership of ours.

    Whoever calls it has ended that membership before. The report takes 2 us.
    """
    method = layer.group_discard
    if type(method) is MethodType:
        function = method.__func__
        telling, replaced = vars(function).get(_REPLACES, (None, None))
        if telling is function:
            untold: Callable[[str, str], Any] = MethodType(replaced, layer)
            return untold
    told: Callable[[str, str], Any] = method
    return told


async def _look_up(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the `group_discard` that a layer's `__getattr__` returns."""
    result = type(layer).__getattr__(layer, _NAME)(*args, **kwargs)
    return await result if isawaitable(result) else result


def _telling(function: Callable[..., Any], tell: Tell) -> Callable[..., Any]:
    """Return a method that reports each call to `tell` and then calls the function."""

    def tell_first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Told:
        discard: tuple[object, ...] = args
        if kwargs or len(args) != 2:
            names = dict(zip(("group", "channel"), args, strict=False)) | kwargs
            discard = names.get("group"), names.get("channel")
        told = _told.get()
        # If a subclass has reported this discard and now calls its base, a second report could
        # come after the channel has joined the group again.
        if told != discard:
            tell(*discard)
            _told.set(discard)
        return told

    @functools.wraps(function)
    async def as_coroutine(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = tell_first(args, kwargs)
        try:
            return await function(self, *args, **kwargs)
        finally:
            _told.set(before)

    @functools.wraps(function)
    def as_function(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = tell_first(args, kwargs)
        try:
            return function(self, *args, **kwargs)
        finally:
            _told.set(before)

    # Coroutine function or not, as before: `unittest.mock` asks for that.
    telling = as_coroutine if iscoroutinefunction(function) else as_function
    setattr(telling, _MARK, True)
    setattr(telling, _REPLACES, (telling, function))
    return telling
