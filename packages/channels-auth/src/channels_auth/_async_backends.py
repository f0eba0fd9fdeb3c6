"""Decide whether an authentication backend is called through `get_user` or `aget_user`."""

from __future__ import annotations

from typing import Any

__all__ = ["is_natively_async"]


def is_natively_async(backend: Any) -> bool:
    """Return whether a backend has an `aget_user` of its own.

    Django's backends have both methods, and the synchronous one enters fewer threads. If a
    subclass of them overrides `get_user` only, that method has to be called, as views call it:
    the inherited `aget_user` would bypass the subclass's rules.

    Args:
        backend: An instance of the backend.
    """
    own = _depth(backend, "aget_user")
    return own is not None and own <= (_depth(backend, "get_user") or own)


def _depth(backend: Any, name: str) -> int | None:
    """Return the position in the MRO of the class that defines a method.

    Returns:
        A number from 1; None if the method is Django's own or does not exist.
    """
    for depth, base in enumerate(type(backend).__mro__, start=1):
        if name in vars(base):
            return None if base.__module__ == "django.contrib.auth.backends" else depth
    return None
