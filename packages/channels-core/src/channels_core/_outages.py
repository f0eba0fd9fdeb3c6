"""Tell an outage of what a channel layer is built on from a fault in the program."""

__all__ = ["is_outage"]

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
