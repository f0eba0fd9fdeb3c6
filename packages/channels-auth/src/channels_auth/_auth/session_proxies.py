"""A session whose key stays, for connections whose cookie cannot change any more."""

from typing import Any

from django.utils.functional import LazyObject

__all__ = ["SessionKeepingKey", "SessionRefusingNewKey"]


class SessionKeepingKey(LazyObject):  # type: ignore[type-arg] # it is generic for type checkers only
    """Stand in for a session, and leave its key as it is where Django would only renew it.

    Django renews the key, among others, when it has verified a session with one of
    `SECRET_KEY_FALLBACKS`. The data would move, and the cookie point to nothing.
    """

    def __init__(self, session: Any) -> None:
        """Wrap a session.

        Args:
            session: Gets everything else that is done to this object.
        """
        super().__init__()
        self._wrapped = session

    def cycle_key(self) -> None:
        """Do nothing."""

    async def acycle_key(self) -> None:
        """Do nothing."""


class SessionRefusingNewKey(LazyObject):  # type: ignore[type-arg] # as above
    """Stand in for a session, and raise an error instead of giving up its key."""

    def __init__(self, session: Any, error: Exception) -> None:
        """Wrap a session.

        Args:
            session: Gets everything else that is done to this object.
            error: What is raised.
        """
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
