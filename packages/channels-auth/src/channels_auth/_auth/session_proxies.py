"""Proxies around a session for connections whose cookie cannot change any more.

Django's login functions give a session a new key. If the browser cannot receive that key, its
cookie would point to no session. One proxy skips the new key, the other one raises an error.
"""

from __future__ import annotations

from typing import Any

from django.utils.functional import LazyObject

__all__ = ["SessionKeepingKey", "SessionRefusingNewKey"]


class SessionKeepingKey(LazyObject):  # type: ignore[type-arg] # it is generic for type checkers only
    """Proxy a session, and do nothing when Django asks for a new key.

    Django renews the key, among other cases, after it has verified a session with one of
    `SECRET_KEY_FALLBACKS`.
    """

    def __init__(self, session: Any) -> None:
        """Wrap a session.

        Args:
            session: Receives every other operation.
        """
        super().__init__()
        self._wrapped = session

    def cycle_key(self) -> None:
        """Do nothing."""

    async def acycle_key(self) -> None:
        """Do nothing."""


class SessionRefusingNewKey(LazyObject):  # type: ignore[type-arg] # it is generic for type checkers only
    """Proxy a session, and raise an error when Django asks for a new key or a flush."""

    def __init__(self, session: Any, error: Exception) -> None:
        """Wrap a session.

        Args:
            session: Receives every other operation.
            error: The error to raise.
        """
        # Through `__dict__`: a lazy object sets any other attribute on what it wraps.
        self.__dict__["_error"] = error
        super().__init__()
        self._wrapped = session

    def cycle_key(self) -> None:
        """Raise the error."""
        raise self.__dict__["_error"]

    async def acycle_key(self) -> None:
        """Raise the error."""
        raise self.__dict__["_error"]

    flush = cycle_key
    aflush = acycle_key
