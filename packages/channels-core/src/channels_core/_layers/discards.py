"""Learn that a program takes a channel out of a group, on whatever layer object of this process.

Layers need not derive from ours, and a program may have made one of its own for the same store. So
it is the class that tells, from the time when a connection first joins a group of such a layer.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from inspect import getattr_static, isawaitable, iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, Final, TypeAlias

__all__ = ["watch_discards"]

Tell: TypeAlias = Callable[[object, object], None]

_NAME: Final = "group_discard"
_MARK: Final = "_channels_tells"

#: What is being discarded.
_told: Final[ContextVar[tuple[object, object] | None]] = ContextVar("channels_told", default=None)


def watch_discards(layer: Any, tell: Tell) -> None:
    """See that something is told of each `group_discard`, before it begins.

    A mock of a layer, or of its method, is left as it is.

    Args:
        layer: A channel layer with groups; all layers of its class are watched.
        tell: Takes the names of the group and the channel, as they were given; in any thread.
    """
    method = getattr(layer, _NAME, None)
    owner: type | None = None
    function: Callable[..., Any] = _look_up
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        function = method.__func__
        if not hasattr(function, _MARK):
            kinds = type(method.__self__).__mro__
            owner = next((kind for kind in kinds if vars(kind).get(_NAME) is function), None)
    elif (
        isinstance(method, FunctionType | functools.partial)
        and getattr_static(layer, _NAME, None) is None
    ):
        # It comes from `__getattr__`, as the methods of channels-redis' layer on Pub/Sub do.
        owner = type(layer)
    if owner is not None:
        # Classes that are not written in Python take no attributes.
        with suppress(TypeError, AttributeError):
            setattr(owner, _NAME, _telling(function, tell))


async def _look_up(layer: Any, *args: Any, **kwargs: Any) -> Any:
    result = type(layer).__getattr__(layer, _NAME)(*args, **kwargs)
    return await result if isawaitable(result) else result


def _telling(function: Callable[..., Any], tell: Tell) -> Callable[..., Any]:
    @contextmanager
    def telling_first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        names = {**dict(zip(("group", "channel"), args, strict=False)), **kwargs}
        group, channel = names.get("group"), names.get("channel")
        if _told.get() == (group, channel):
            # Called by a subclass. It may be late, and the channel in the group again.
            yield
            return
        tell(group, channel)
        token = _told.set((group, channel))
        try:
            yield
        finally:
            _told.reset(token)

    @functools.wraps(function)
    async def as_coroutine(self: Any, *args: Any, **kwargs: Any) -> Any:
        with telling_first(args, kwargs):
            return await function(self, *args, **kwargs)

    @functools.wraps(function)
    def as_function(self: Any, *args: Any, **kwargs: Any) -> Any:
        with telling_first(args, kwargs):
            return function(self, *args, **kwargs)

    # In its own colour: mocks look at that.
    telling = as_coroutine if iscoroutinefunction(function) else as_function
    setattr(telling, _MARK, True)
    return telling
