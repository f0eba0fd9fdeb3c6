"""Who a connection belongs to: look up its user, log in, log out.

The steps are Django's own functions, called with a request that is made from the scope.
"""

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import LazyObject

from channels_auth._async_backends import is_natively_async
from channels_auth._auth.request import request_from_scope
from channels_auth._auth.session_proxies import SessionKeepingKey, SessionRefusingNewKey
from channels_auth._scope import (
    add_cookies,
    cookie_can_change,
    is_unresolved,
    session_of,
    set_user,
    user_of,
)
from channels_auth._sessions.engine import keeps_data_in_cookie
from channels_auth.cookies import CookieMiddleware
from channels_auth.disconnection import EndsWithLoginMiddleware, disconnect_user
from channels_auth.guards import login_required, permission_required
from channels_auth.login_tokens import (
    InvalidLoginToken,
    alogin_with_token,
    create_login_token,
    login_with_token,
)
from channels_auth.sessions import SessionMiddlewareStack
from channels_auth.tokens import (
    FirstMessageToken,
    HeaderToken,
    QueryToken,
    SubprotocolToken,
    TokenAuthenticator,
    TokenAuthMiddleware,
    TokenSource,
)
from channels_core.db import aclose_old_connections, database_sync_to_async
from channels_core.exceptions import ChannelsError
from channels_core.middleware import BaseMiddleware
from channels_core.typing import AnyScope, Receive, Scope, Send

if TYPE_CHECKING:
    from http.cookies import SimpleCookie

    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

__all__ = [
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "EndsWithLoginMiddleware",
    "FirstMessageToken",
    "HeaderToken",
    "InvalidLoginToken",
    "LoginOnOpenConnectionError",
    "LogoutOnOpenConnectionError",
    "QueryToken",
    "SubprotocolToken",
    "TokenAuthMiddleware",
    "TokenAuthenticator",
    "TokenSource",
    "UserLazyObject",
    "alogin_with_token",
    "create_login_token",
    "disconnect_user",
    "get_user",
    "login",
    "login_required",
    "login_with_token",
    "logout",
    "permission_required",
]


_CSRF_MIDDLEWARE: Final = "django.middleware.csrf.CsrfViewMiddleware"


class LoginOnOpenConnectionError(ChannelsError, RuntimeError):
    """`login` would have to change the cookie of a connection that is open already."""


class LogoutOnOpenConnectionError(ChannelsError, RuntimeError):
    """`logout` would have to change the cookie of a connection that is open already."""


async def get_user(scope: AnyScope) -> "AbstractBaseUser | AnonymousUser":
    """Return the user of the connection's session.

    This is Django's `get_user`: it verifies the session's hash, falls back on
    `SECRET_KEY_FALLBACKS`, and flushes a session whose hash is wrong. A visitor without a session
    costs nothing. Otherwise one thread is entered once, for the session and the user together, and
    its database connections are closed as `CONN_MAX_AGE` has it. A session whose backend has an
    `aget_user` of its own is looked up by Django's `aget_user`.

    Over a WebSocket a session of a fallback secret keeps its key, which HTTP requests renew; its
    hash is made anew all the same.

    Scope:
        `session` is read.

    Returns:
        The user, or `AnonymousUser`.

    Raises:
        ValueError: There is no session in the scope.

    Source: `django.contrib.auth.get_user`.
    """
    session = session_of(scope)
    if _is_anonymous_at_sight(session):
        # Here, because it is in a module of models.
        from django.contrib.auth.models import AnonymousUser

        return AnonymousUser()
    # A look must not cost the session. That of a WebSocket could get a new key only if the
    # handshake is accepted, and by a server that sends its headers.
    keeps_key = scope.get("type") == "websocket" or not cookie_can_change(scope)
    request = request_from_scope(scope, SessionKeepingKey(session) if keeps_key else session)
    if not await _is_of_async_backend(session):
        return await database_sync_to_async(auth.get_user)(request)
    try:
        return await auth.aget_user(request)
    finally:
        await aclose_old_connections()


async def login(
    scope: AnyScope, user: "AbstractBaseUser | None", backend: str | None = None
) -> None:
    """Log a user in, as Django's `login` does.

    Until the connection is accepted (or a response has begun), the session's new key goes out with
    the answer, if the server sends the headers of an accepted handshake (ASGI 2.1; Daphne does
    not). After that the cookie cannot change. The call succeeds then if the session is this
    user's already, and fails otherwise: a session that keeps its key while its user changes could
    have been planted by somebody who knows the key (session fixation).

    Scope:
        `session` is changed, `user` is set.

    Args:
        scope: The connection's scope: `self.scope` in a consumer.
        user: Who logs in; None for the user in the scope.
        backend: The authentication backend's path; needed where the settings have several and the
            user does not come from `authenticate`.

    Raises:
        LoginOnOpenConnectionError: The session would need a new key, and the connection is open.
            Nothing has changed. The message shows what to do: `create_login_token`.
        ValueError: There is no session in the scope, there is no user, or the backend is not clear.

    Source: `django.contrib.auth.login`.
    """
    session = session_of(scope)
    who: Any = scope.get("user") if user is None else user
    if getattr(who, "is_anonymous", who is None):
        raise ValueError("User must be passed as an argument or must be present in the scope.")
    if not cookie_can_change(scope):
        session = SessionRefusingNewKey(session, _login_error())
    request = request_from_scope(scope, session, who)
    # In one thread, in one go: what happens in between, as in a receiver of the signal, is in the
    # same transaction, and so are the queries.
    cookies = await database_sync_to_async(_login)(request, who, backend)
    add_cookies(scope, cookies)
    await set_user(scope, request.user)


async def logout(scope: AnyScope) -> None:
    """Log the user out and flush the session, as Django's `logout` does.

    On an open connection the session is deleted on the server, so that the client's cookie points
    to nothing. Django's signal `user_logged_out` is sent for a user in the scope who is logged in.

    Scope:
        `session` is flushed, `user` becomes `AnonymousUser` if there is one.

    Args:
        scope: The connection's scope: `self.scope` in a consumer.

    Raises:
        LogoutOnOpenConnectionError: The session lives in the cookie (`signed_cookies`), and the
            connection is open, so the client would stay logged in. Nothing has changed.
        ValueError: There is no session in the scope.

    Source: `django.contrib.auth.logout`.
    """
    session = session_of(scope, "Login cannot find")
    if not cookie_can_change(scope) and keeps_data_in_cookie(session):
        raise LogoutOnOpenConnectionError(
            "logout() cannot reach a session that is kept in the client's cookie "
            "(SESSION_ENGINE is signed_cookies): the cookie of an open connection cannot change. "
            "Have the client log out over HTTP, or use a SESSION_ENGINE that keeps sessions on the "
            "server."
        )
    if scope.get("user") is None:
        await database_sync_to_async(session.flush)()
    else:
        request = request_from_scope(scope, session, user_of(scope))
        await database_sync_to_async(_logout)(request)
    if "user" in scope:
        # Here, because it is in a module of models.
        from django.contrib.auth.models import AnonymousUser

        await set_user(scope, AnonymousUser())


def _is_anonymous_at_sight(session: Any) -> bool:
    """Tell whether there is no user in a session that can be read without loading it."""
    at_hand = getattr(session, "session_key", None) is None or hasattr(session, "_session_cache")
    return at_hand and auth.SESSION_KEY not in session


async def _is_of_async_backend(session: Any) -> bool:
    """Tell whether the backend that a session was made with is asynchronous by itself."""
    if not any(map(is_natively_async, auth.get_backends())):
        return False
    path = await session.aget(auth.BACKEND_SESSION_KEY)
    return path in settings.AUTHENTICATION_BACKENDS and is_natively_async(auth.load_backend(path))


def _login(request: HttpRequest, user: Any, backend: str | None) -> "SimpleCookie":
    """Log in, and return the cookies that Django's protection against CSRF sets because of it."""
    auth.login(request, user, backend)
    response = HttpResponse()
    if settings.CSRF_USE_SESSIONS or _CSRF_MIDDLEWARE in settings.MIDDLEWARE:
        # As after a view: who knew the secret from before the login must not know it after.
        CsrfViewMiddleware(lambda _: response).process_response(request, response)
    return response.cookies


def _logout(request: Any) -> None:
    if getattr(request.user, "is_authenticated", True):
        auth.logout(request)
    else:
        # Nobody logs out. Django sends its signal all the same; receivers here do not expect it.
        request.session.flush()


def _login_error() -> LoginOnOpenConnectionError:
    return LoginOnOpenConnectionError(
        "login() has to give this session a new key, since a key that outlives a login could have "
        "been planted (session fixation), and the cookie cannot change any more: the connection is "
        "open, or the server sends no cookies with a handshake, as Daphne. "
        "Send create_login_token(user) to the client, have it POST the token to a view that calls "
        "login_with_token(request, token), and let it connect again."
    )


if TYPE_CHECKING:
    # As it stands for one, which programs ask for the attributes that all users have.
    class _LazyUser(AbstractBaseUser, LazyObject[Any]): ...

else:
    _LazyUser = LazyObject


class UserLazyObject(_LazyUser):
    """Stand for the user in a scope until `AuthMiddleware` has looked the user up."""

    def _setup(self) -> None:
        raise ValueError("Accessing scope user before it is ready.")

    def __repr__(self) -> str:
        """Tell what it stands for; unlike all else, this is no access, for tracebacks show it."""
        user = "not ready" if is_unresolved(self) else repr(self._wrapped)
        return f"<UserLazyObject: {user}>"


def _has_user(scope: Scope) -> bool:
    """Tell whether there is somebody at the other end of a connection, or a session is at hand."""
    return "session" in scope or scope.get("type", "http") in {"http", "websocket"}


class AuthMiddleware(BaseMiddleware):
    """Put the user of the session into the scope, before the application inside runs.

    A user that is in the scope already stays, and costs no query: one that a test or another
    middleware has put there, or this middleware further out.

    Scope:
        `session` is read; `user` is added, a `UserLazyObject` around the user.
    """

    def populate_scope(self, scope: AnyScope) -> None:
        """Add what stands for the user, without looking it up.

        Raises:
            ValueError: There is no session in the scope.
        """
        if "session" not in scope:
            raise ValueError(
                "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it."
            )
        if "user" not in scope:
            scope["user"] = UserLazyObject()

    async def resolve_scope(self, scope: AnyScope) -> None:
        """Look the user up."""
        user = scope["user"]
        if issubclass(type(user), UserLazyObject) and is_unresolved(user):
            user._wrapped = await get_user(scope)

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection.

        Scopes without a session that are neither `http` nor `websocket` pass as they are.

        Args:
            scope: The connection's scope; the caller's dict is not changed.
            receive: ASGI receive.
            send: ASGI send.

        Raises:
            ValueError: There is no session in the scope.
        """
        scope = dict(scope)
        if _has_user(scope):
            self.populate_scope(scope)
            await self.resolve_scope(scope)
        return await super().__call__(scope, receive, send)

    def _channels_first_step(self, scope: AnyScope) -> Any:
        scope = dict(scope)
        return self._channels_bind(scope) if _has_user(scope) else self._channels_step(scope)


def AuthMiddlewareStack(  # noqa: N802 - a class's name, as programs know it
    inner: Any, *, ends_with_login: bool = False, revalidate_every: float | None = None
) -> CookieMiddleware:
    """Wrap an application so that it finds cookies, session and user in its scope.

    Args:
        inner: An ASGI 3 application, a router, a consumer class, or a two-step application.
        ends_with_login: Whether a WebSocket ends when its user is logged out, changes the password
            or is deactivated: see `EndsWithLoginMiddleware`.
        revalidate_every: Seconds between looks at whether the login still holds; it takes
            `ends_with_login`.

    Raises:
        ValueError: `revalidate_every` is given without `ends_with_login`.
    """
    if ends_with_login:
        inner = EndsWithLoginMiddleware(inner, revalidate_every=revalidate_every)
    elif revalidate_every is not None:
        raise ValueError("revalidate_every needs ends_with_login=True: it closes what it finds.")
    return SessionMiddlewareStack(AuthMiddleware(inner))
