"""Ask the database whether a login still holds, without changing a thing."""

from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from channels_auth._async_backends import is_natively_async
from channels_core.db import aclose_old_connections, database_sync_to_async

__all__ = ["login_holds"]


class _Snapshot(SessionBase):
    """What a session held when it was read, for Django's own functions to look at.

    Where these would end the session or give it a new key, nothing happens to the stored one: a
    client that cannot be told of a new cookie would be logged out by it.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__()
        self._session_cache = data

    def cycle_key(self) -> None:
        """Keep the key."""

    async def acycle_key(self) -> None:
        """Keep the key."""

    def flush(self) -> None:
        """Keep the session."""

    async def aflush(self) -> None:
        """Keep the session."""


async def login_holds(user: Any, session: Any) -> bool:
    """Tell whether a login still holds.

    Args:
        user: The user that a connection has.
        session: The connection's session if the login came out of it; None for a login by other
            means, such as a token.

    Returns:
        Whether Django would still find that user in the session, as it is stored now. Without a
        session, whether the user still exists and is active.

    Source: `django.contrib.auth.get_user`.
    """
    if session is None:
        return await _account_holds(user)
    # The class of what a lazy object holds. The object in the scope may be ahead of the store, and
    # does not hear of what others have done since.
    fresh = session.__class__(session.session_key)
    found = await _user_of(fresh)
    return bool(found.is_authenticated and found.pk == user.pk)


async def _user_of(session: SessionBase) -> Any:
    # Here, because none of it works before there are settings.
    from django.contrib import auth

    request = HttpRequest()
    if any(map(is_natively_async, auth.get_backends())):
        try:
            request.session = _Snapshot(await session.aload())
            return await auth.aget_user(request)
        finally:
            await aclose_old_connections()

    def get_user() -> Any:
        request.session = _Snapshot(session.load())
        return auth.get_user(request)

    # In one thread, in one go.
    return await database_sync_to_async(get_user)()


async def _account_holds(user: Any) -> bool:
    # Here, because they need the settings.
    from django.conf import settings
    from django.contrib.auth import load_backend

    path = getattr(user, "backend", "")
    try:
        if path in settings.AUTHENTICATION_BACKENDS:
            found = await load_backend(path).aget_user(user.pk)
        elif hasattr(user, "_meta"):
            found = await user._meta.default_manager.filter(pk=user.pk).afirst()
        else:
            # No model's: nobody but the token knows of this user.
            return True
    finally:
        await aclose_old_connections()
    return found is not None and getattr(found, "is_active", True)
