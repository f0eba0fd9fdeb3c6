"""Outages of a channel layer: which errors are one.

In an outage a layer cannot reach its store for now, as while Redis restarts. `is_outage`
distinguishes an outage from a fault in the program. `_layers/ongoing_outages.py` follows an outage
from its first error to its end; it is loaded with that error.
"""

from __future__ import annotations

from typing import Any, Final

from channels_core.forks import call_in_children

__all__ = [
    "is_outage",
    "is_to_refuse",
    "mark_as_answered",
    "mark_to_refuse",
    "ongoing",
    "was_answered",
]

#: The outages that are not over, by the `id` of the layer; `_layers/ongoing_outages.py` has their
#: class, which is loaded with the first one. Nearly always empty, so that asking costs nothing. A
#: child process has connections of its own to the store.
ongoing: Final[dict[int, Any]] = {}
call_in_children(ongoing.clear)

#: Errors of clients of stores that derive from no `OSError`, by module and name, for layers
#: without `outage_errors`. Channels imports none of these modules.
_ERRORS_OF_CLIENTS: Final = frozenset(
    (module, name)
    for module in ("aioredis.exceptions", "redis.exceptions", "valkey.exceptions")
    for name in ("ConnectionError", "TimeoutError")
)

#: The attribute that `mark_as_answered` sets.
_MARK: Final = "_channels_answered"
#: The attribute that `mark_to_refuse` sets.
_REFUSE: Final = "_channels_refuse"


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
    """Record in an error that the outage is logged, and that nothing can be done before its end."""
    vars(error)[_MARK] = True


def was_answered(error: BaseException) -> bool:
    """Return whether an error is marked, so that nobody has to log or answer it."""
    return _MARK in vars(error)


def mark_to_refuse(error: BaseException) -> None:
    """Record in an error that its connection waits for an answer, and is to be refused."""
    vars(error)[_REFUSE] = True


def is_to_refuse(error: BaseException) -> bool:
    """Return whether the connection with this error waits for an answer, and is to be refused."""
    return _REFUSE in vars(error)
