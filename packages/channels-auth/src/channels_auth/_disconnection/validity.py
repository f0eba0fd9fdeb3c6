"""Check in the database whether a login is still valid, without changing anything."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from channels_auth._async_backends import is_natively_async
from channels_core.db import aclose_old_connections, look_up

__all__ = ["login_holds"]


class _Snapshot(SessionBase):
    """The data of a session when it was read, as the argument for Django's own functions.

    Django's functions may flush the session or renew its key. Nothing happens to the stored
    session then: the client of an open connection cannot receive a new cookie, and would be logged
    out.
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
    """Return whether a login is still valid.

    Args:
        user: The user of a connection.
        session: The connection's session if the user comes from it; None for a login by other
            means, such as a token.

    Returns:
        With a session, whether Django still finds that user in the session as it is stored now.
        Without a session, whether the user still exists and is active.

    Source: `django.contrib.auth.get_user`.
    """
    if session is None:
        return await _account_is_valid(user)
    # A new session object: the one in the scope may hold changes that are not stored yet, and does
    # not have what others have stored since. `__class__`, because it may be a lazy object.
    fresh = session.__class__(session.session_key)
    found = await _user_of(fresh)
    return bool(found.is_authenticated and found.pk == user.pk)


async def _user_of(session: SessionBase) -> Any:
    # Imported here because it needs the settings.
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

    # One thread for both queries.
    return await look_up(get_user)


async def _account_is_valid(user: Any) -> bool:
    # Imported here because they need the settings.
    from django.conf import settings
    from django.contrib.auth import load_backend

    path = getattr(user, "backend", "")
    if path in settings.AUTHENTICATION_BACKENDS:
        backend = load_backend(path)
        if is_natively_async(backend):
            try:
                found = await backend.aget_user(user.pk)
            finally:
                await aclose_old_connections()
        else:
            found = await look_up(backend.get_user, user.pk)
    elif hasattr(user, "_meta"):
        found = await look_up(user._meta.default_manager.filter(pk=user.pk).first)
    else:
        # The user is not of a model: only the token defines it, and there is nothing to check.
        return True
    return found is not None and getattr(found, "is_active", True)
