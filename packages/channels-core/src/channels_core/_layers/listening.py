"""Decide whether a consumer listens to its layer, or calls `receive`."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from channels_core.typing import Message

__all__ = ["find_listen"]


def find_listen(
    layer: Any,
) -> Callable[[str, Callable[[], object]], Callable[[], Message | None]] | None:
    """Return the `listen` of a layer, if it delivers what the layer's `receive` would.

    It does not if a subclass overrides `receive`, or if a test has replaced it: then the new
    `receive` is to be called.

    Returns:
        The method; None if consumers have to call `receive`.
    """
    function = getattr(getattr(layer, "receive", None), "__func__", None)
    kind: Any = type(layer)
    return layer.listen if _listens(kind, function) else None


@lru_cache(maxsize=32)
def _listens(layer: type, receive: object) -> bool:
    """Return whether the `listen` of a layer's class delivers what a function would receive."""
    owner = next((kind for kind in layer.__mro__ if "listen" in vars(kind)), None)
    if owner is None:
        return False  # also for a mock of a layer, which has any method
    defined = next((kind for kind in owner.__mro__ if "receive" in vars(kind)), owner)
    return (
        getattr(receive, "__module__", None) == defined.__module__
        and getattr(receive, "__qualname__", None) == f"{defined.__qualname__}.receive"
    )
