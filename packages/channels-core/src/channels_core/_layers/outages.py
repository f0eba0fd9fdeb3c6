"""Outages of a channel layer: which errors are one.

In an outage a layer cannot reach its store for now, as while Redis restarts. `is_outage`
distinguishes an outage from a fault in the program.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["is_outage", "mark_as_answered", "was_answered"]

#: Errors of clients of stores that derive from no `OSError`, by module and name, for layers
#: without `outage_errors`. Channels imports none of these modules.
_ERRORS_OF_CLIENTS: Final = frozenset(
    (module, name)
    for module in ("aioredis.exceptions", "redis.exceptions", "valkey.exceptions")
    for name in ("ConnectionError", "TimeoutError")
)

#: The attribute that `mark_as_answered` sets.
_MARK: Final = "_channels_answered"


def is_outage(layer: Any, error: BaseException) -> bool:
    """Return whether an error means that a channel layer cannot reach its store for now.

    Every `OSError` does, and so does an error that the layer's class lists in `outage_errors`.

    Args:
        layer: The channel layer, which need not derive from ours.
        error: The exception that a call of the layer raised.
    """
    if isinstance(error, (OSError, *getattr(type(layer), "outage_errors", ()))):
        return True
    return any(
        (kind.__module__, kind.__name__) in _ERRORS_OF_CLIENTS for kind in type(error).__mro__
    )


def mark_as_answered(error: BaseException) -> None:
    """Record in an error that its work will be done once the outage is over."""
    vars(error)[_MARK] = True


def was_answered(error: BaseException) -> bool:
    """Return whether an error is marked, so that nobody has to log or answer it."""
    return _MARK in vars(error)
