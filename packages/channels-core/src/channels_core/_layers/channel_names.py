"""Get the name of a new channel from a layer when the name is first needed."""

from __future__ import annotations

from typing import Any

__all__ = ["name_at_once", "names_at_once"]


def names_at_once(layer: Any) -> bool:
    """Return whether a layer's `new_channel` is marked as one that never waits.

    The mark is on the function, so that one which overrides or replaces it is not taken for it. A
    function that wraps it may wait, although `functools.wraps` copies the mark.
    """
    function = getattr(layer, "new_channel", None)
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
