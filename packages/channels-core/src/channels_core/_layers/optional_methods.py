"""The methods that a channel layer may have beyond those of every layer, and what replaces them.

`channels_core.layers.BaseChannelLayer` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from types import CoroutineType
from typing import Any, Final

from channels_core.typing import Message

__all__ = [
    "close_layer",
    "find_listen",
    "forget_channel",
    "has_extension",
    "name_at_once",
    "names_at_once",
    "require_extension",
    "takes_wake_waiting",
]


#: A tuple, since `list | tuple` in a call would be made anew each time.
_LISTS: Final = (list, tuple, set, frozenset)


def has_extension(layer: Any, extension: str) -> bool:
    """Return whether a layer lists an extension; a mock of a layer lists none."""
    listed = getattr(layer, "extensions", ())
    return isinstance(listed, _LISTS) and extension in listed


def require_extension(layer: Any, extension: str, what: str) -> None:
    """Raise an error that names the layer unless it has an extension.

    Args:
        layer: A channel layer; None is left to the call that follows.
        extension: The extension's name.
        what: The call that needs it.

    Raises:
        InvalidChannelLayerError: It does not have it.
    """
    if layer is None or has_extension(layer, extension):
        return
    from channels_core.layer_extensions import lacks  # with the first such error

    raise lacks(layer, extension, what)


def names_at_once(layer: Any) -> bool:
    """Return whether a layer's `new_channel` is marked as one that never waits.

    The mark is on the function, so that one which overrides or replaces it is not taken for it. A
    function that wraps it may wait, although `functools.wraps` copies the mark.
    """
    method = getattr(layer, "new_channel", None)
    # A method takes 0.5 us to say that it does not have an attribute, and its function 0.03.
    function = getattr(method, "__func__", method)
    return getattr(function, "never_waits", None) is True and not hasattr(function, "__wrapped__")


def name_at_once(layer: Any) -> str:
    """Return the name of a new channel of a layer for which `names_at_once` is true.

    Raises:
        RuntimeError: `new_channel` waits, although it is marked.
    """
    steps = layer.new_channel()
    try:
        steps.send(None)
    except StopIteration as ended:
        name: str = ended.value
        return name
    steps.close()
    raise RuntimeError(f"{type(layer).__name__}.new_channel waits, although it has never_waits")


def find_listen(
    layer: Any,
) -> Callable[..., Callable[[], Message | None]] | None:
    """Return the `listen` of a layer, if it delivers what the layer's `receive` would.

    It does not if a subclass overrides `receive`, or if a test has replaced it: then the new
    `receive` is to be called.

    Returns:
        The method; None if consumers have to call `receive`.
    """
    owner = _definer(type(layer), "listen")
    if owner is None:
        return None  # also for a mock of a layer, which has any method
    defined = _definer(owner, "receive") or owner
    function = getattr(getattr(layer, "receive", None), "__func__", None)
    is_owners = (
        getattr(function, "__module__", None) == defined.__module__
        and getattr(function, "__qualname__", None) == f"{defined.__qualname__}.receive"
    )
    listen: Any = layer.listen
    return listen if is_owners else None


def takes_wake_waiting(listen: Callable[..., Any]) -> bool:
    """Return whether a layer's `listen` is marked as one with a third argument, `wake_waiting`.

    As for `names_at_once`, the mark does not count for a function that overrides or wraps it.
    """
    function = getattr(listen, "__func__", listen)
    marked = getattr(function, "takes_wake_waiting", None) is True
    return marked and not hasattr(function, "__wrapped__")


def _definer(kind: type, name: str) -> type | None:
    """Return the class in whose dict an attribute of a class is."""
    for each in kind.__mro__:
        if name in each.__dict__:
            return each
    return None


async def forget_channel(layer: Any, channel: str) -> None:
    """Make a layer drop a channel whose connection has ended, and what has arrived for it.

    Args:
        layer: A channel layer, or None. It may have `forget_channel`, which is then called.
        channel: The channel's name.
    """
    forget = getattr(layer, "forget_channel", None)
    if forget is None:
        from channels_core._layers import channels_redis  # for its layers only

        await channels_redis.drop_channel(layer, channel)
        return
    result = forget(channel)
    if type(result) is CoroutineType or isawaitable(result):  # a test's mock may return anything
        await result


async def close_layer(layer: Any) -> None:
    """Close the connections of a layer to its store, if it has a method for that.

    Raises:
        Exception: The layer's own error.
    """
    from channels_core._layers import channels_redis  # at the end of a worker only

    for name in ("close", channels_redis.CLOSE):
        if close := getattr(layer, name, None):
            result = close()
            if isawaitable(result):
                await result
            return
