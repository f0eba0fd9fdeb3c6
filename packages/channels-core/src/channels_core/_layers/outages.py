"""Tell an outage of what a channel layer is built on from a fault in the program."""

from typing import Final

__all__ = ["is_outage", "mark_as_answered", "was_answered"]

_MARK: Final = "_channels_answered"

#: Clients of stores have errors of their own under the names of Python's.
_NAMES = frozenset({"ConnectionError", "TimeoutError"})


def is_outage(error: BaseException) -> bool:
    """Tell whether an error says that something across a network is away, for now.

    Source: `redis.exceptions.ConnectionError` and `TimeoutError`, which derive from no error of
    Python's; so do those of other clients.
    """
    if isinstance(error, OSError):
        return True
    return any(kind.__name__ in _NAMES for kind in type(error).__mro__)


def mark_as_answered(error: BaseException) -> None:
    """Note in an error that what it has prevented will be done once the outage is over."""
    vars(error)[_MARK] = True


def was_answered(error: BaseException) -> bool:
    """Return whether an error tells of nothing that is still to be answered."""
    return _MARK in vars(error)
