"""Turn a login on a WebSocket into a login over HTTP, by a token that works once.

The cookie of an open WebSocket cannot change. So the socket that has identified the user creates a
token, the page sends it in a POST request, and a view logs the user in.

A token is signed and contains the user's primary key, the backend, and a digest of the password
and of the time of the last login. So it is void after a change of the password, and after a login.
Two requests with the same token at the same moment are decided by the database, which updates
`last_login` once, or by the cache for a user model without that field.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import signing
from django.core.cache import cache, caches
from django.core.cache.backends.dummy import DummyCache
from django.core.exceptions import ImproperlyConfigured
from django.db.models.query_utils import DeferredAttribute
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from channels_auth._async_backends import is_natively_async
from channels_core.exceptions import ChannelsError

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

__all__ = ["InvalidLoginToken", "alogin_with_token", "create_login_token", "login_with_token"]

_SALT: Final = "channels_auth.login_tokens"
_CACHE_PREFIX: Final = "channels_auth.login_token."


class InvalidLoginToken(ChannelsError, ValueError):
    """A login token is forged, expired or used, or its user may no longer log in."""


class _Ticket(NamedTuple):
    """The content of a token."""

    pk: str
    backend: str
    #: The user's `_state` when the token was created.
    state: str
    #: Makes tokens of the same user and state differ.
    nonce: str


def create_login_token(user: AbstractBaseUser, backend: str | None = None) -> str:
    """Create a token that logs a user in once, within a short time.

    The function enters no thread and makes no query, so synchronous and asynchronous code may call
    it. The token is void when it is used, when it expires, and when the user logs in elsewhere,
    changes the password or is deactivated.

    Whoever has the token can log in. Send it only to the client that has proved to be the user.

    Args:
        user: The user to log in. Load it just before: the token of a user that was loaded before
            the last login is void from the start.
        backend: The authentication backend's path; required if the settings have several and the
            user does not come from `authenticate`.

    Returns:
        Letters, digits, hyphens, underscores and colons.

    Raises:
        ValueError: The user is not in the database, or the backend is ambiguous.
    """
    if getattr(user, "pk", None) is None:
        raise ValueError(f"A login token needs a user who is in the database, not {user!r}.")
    ticket = _Ticket(
        pk=user._meta.pk.value_to_string(user),
        backend=_backend_path(user, backend),
        state=_state(user, _hashes(user)[0]),
        nonce=secrets.token_urlsafe(8),
    )
    return signing.dumps(ticket, salt=_SALT)


@sensitive_variables("token")
def login_with_token(
    request: HttpRequest, token: str, max_age: int | timedelta = 60
) -> AbstractBaseUser:
    """Log the user of a token in, in a view.

    Allow only POST requests with Django's CSRF protection. Otherwise another site could log its
    visitor in to an attacker's account, which then collects what the visitor enters.

    Args:
        request: The view's request, with a session.
        token: The token from `create_login_token`.
        max_age: Seconds after which a token has expired.

    Returns:
        The user, who is logged in now.

    Raises:
        InvalidLoginToken: The token is not valid, or no longer valid. The message says why, and
            does not contain the token.
    """
    from django.contrib.auth import load_backend

    ticket = _read(token, max_age)
    user = load_backend(ticket.backend).get_user(_user_id(ticket))
    return _enter(request, user, ticket, max_age)


@sensitive_variables("token")
async def alogin_with_token(
    request: HttpRequest, token: str, max_age: int | timedelta = 60
) -> AbstractBaseUser:
    """Log the user of a token in, in an asynchronous view: see `login_with_token`."""
    from django.contrib.auth import load_backend

    ticket = _read(token, max_age)
    backend = load_backend(ticket.backend)
    if is_natively_async(backend):
        user = await backend.aget_user(_user_id(ticket))
    else:
        user = await sync_to_async(backend.get_user)(_user_id(ticket))
    return await sync_to_async(_enter)(request, user, ticket, max_age)


@sensitive_variables("token")
def _read(token: object, max_age: int | timedelta) -> _Ticket:
    """Return the content of a token, if it is signed by this site and has not expired."""
    problem = "This is not a login token, or it has been changed."
    try:
        if isinstance(token, str):
            ticket = _Ticket(*signing.loads(token, salt=_SALT, max_age=max_age))
            if ticket.backend in settings.AUTHENTICATION_BACKENDS:
                return ticket
            problem = f"The login token's backend is not in the settings: {ticket.backend}."
    except signing.SignatureExpired:
        problem = "The login token has expired. Make another one."
    except (signing.BadSignature, UnicodeError):
        pass
    # Raised here and not in an `except` clause: the errors of signing show parts of the token.
    raise InvalidLoginToken(problem)


def _enter(
    request: HttpRequest,
    user: AbstractBaseUser | None,
    ticket: _Ticket,
    max_age: int | timedelta,
) -> AbstractBaseUser:
    """Log a user in if the ticket is still valid, and make it void."""
    from django.contrib.auth import login

    if user is None:
        raise InvalidLoginToken("The user of the login token does not exist or may not log in.")
    states = [_state(user, one) for one in _hashes(user)]
    good = any(constant_time_compare(ticket.state, state) for state in states)
    if not (good and _claim(user, ticket, max_age)):
        raise InvalidLoginToken(
            "The login token was used, or the user has logged in or changed the password since it "
            "was made. Make another one."
        )
    login(request, user, ticket.backend)  # type: ignore[arg-type] # it accepts users of any model
    return user


def _claim(user: Any, ticket: _Ticket, max_age: int | timedelta) -> bool:
    """Return whether this is the first use of a ticket: True at most once, in all processes."""
    if not _has_last_login(user._meta.model):
        seconds = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        return cache.add(f"{_CACHE_PREFIX}{ticket.nonce}", True, timeout=ceil(seconds) + 1)
    now = timezone.now()
    before = user.last_login
    # The database makes one such update only: a second one finds another `last_login`.
    same = user._meta.model._base_manager.filter(pk=user.pk, last_login=before)
    user.last_login = now if before is None else max(now, before + timedelta.resolution)
    return bool(same.update(last_login=user.last_login))


def forgets_used_tokens() -> bool:
    """Return whether a token would work again: neither the user nor the cache remembers its use."""
    from django.contrib.auth import get_user_model

    try:
        model = get_user_model()
    except ImproperlyConfigured:
        return False  # a site without a user model has no logins
    return not _has_last_login(model) and isinstance(caches["default"], DummyCache)


def _state(user: Any, session_auth_hash: str) -> str:
    """Return a digest that changes with the user's password and with each login."""
    last_login = user.last_login if _has_last_login(user._meta.model) else None
    if last_login is not None and timezone.is_aware(last_login):
        last_login = last_login.astimezone(UTC)
    return hashlib.sha256(f"{session_auth_hash} {last_login}".encode()).hexdigest()


def _hashes(user: Any) -> list[str]:
    """Return the user's session hash, and those of `SECRET_KEY_FALLBACKS`."""
    return [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]


def _has_last_login(model: Any) -> bool:
    # The condition by which Django decides whether to store the time of the last login.
    return isinstance(getattr(model, "last_login", None), DeferredAttribute)


def _user_id(ticket: _Ticket) -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model()._meta.pk.to_python(ticket.pk)


def _backend_path(user: Any, backend: str | None) -> str:
    """Return the path of the backend, chosen as Django's `login` does."""
    path = backend or getattr(user, "backend", None)
    if path is None and len(settings.AUTHENTICATION_BACKENDS) == 1:
        path = settings.AUTHENTICATION_BACKENDS[0]
    if path not in settings.AUTHENTICATION_BACKENDS:
        raise ValueError(
            f"backend= must be one of {settings.AUTHENTICATION_BACKENDS}, not {path!r}: pass it, "
            "or a user from authenticate()."
        )
    return str(path)
