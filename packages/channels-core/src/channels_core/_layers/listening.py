"""Decide whether a consumer listens to its layer, or calls `receive`."""

from __future__ import annotations

from collections.abc import Callable
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
    owner = next((kind for kind in type(layer).__mro__ if "listen" in vars(kind)), None)
    if owner is None:
        return None  # also for a mock of a layer, which has any method
    defined = next((kind for kind in owner.__mro__ if "receive" in vars(kind)), owner)
    function = getattr(getattr(layer, "receive", None), "__func__", None)
    is_owners = (
        getattr(function, "__module__", None) == defined.__module__
        and getattr(function, "__qualname__", None) == f"{defined.__qualname__}.receive"
    )
    listen: Any = layer.listen
    return listen if is_owners else None
