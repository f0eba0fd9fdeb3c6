"""Which of its two ways of looking up a user an authentication backend means."""

from typing import Any

__all__ = ["is_natively_async"]


def is_natively_async(backend: Any) -> bool:
    """Tell whether a backend has an `aget_user` of its own.

    Django's backends have both ways, and the synchronous one enters fewer threads. A class that
    derives from them and overrides `get_user` only means that one, as it is what views call: the
    inherited `aget_user` would pass its rules by.

    Args:
        backend: An instance of the backend.
    """
    own = _depth(backend, "aget_user")
    return own is not None and own <= (_depth(backend, "get_user") or own)


def _depth(backend: Any, name: str) -> int | None:
    """Return how many classes up a method is defined, or None if it is Django's or nobody's."""
    for depth, base in enumerate(type(backend).__mro__, start=1):
        if name in vars(base):
            return None if base.__module__ == "django.contrib.auth.backends" else depth
    return None
