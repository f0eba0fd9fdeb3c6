"""Restrict an application to users who are logged in, or who have a permission.

`login_required` and `permission_required` wrap an application in a `Guard`, which asks the user
in the scope and refuses the connection, or redirects to the login page as Django does.
"""

from __future__ import annotations

import enum
import io
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, overload

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation

from channels_auth._challenges import challenge_headers
from channels_auth._close_codes import close_code_of
from channels_core.applications import name_that_thing
from channels_core.client_log import log_of_client
from channels_core.db import look_up
from channels_core.middleware import BaseMiddleware
from channels_core.refusal import refuse
from channels_core.typing import AnyScope, Receive, Scope, Send

__all__ = ["login_required", "permission_required"]

logger: Final = logging.getLogger("django.channels.auth")

# Any: type checkers accept it as the view of a route then, like a consumer's `as_asgi()`.
_Guarded: TypeAlias = Callable[..., Any]


class _Missing(enum.Enum):
    APPLICATION = "no application was given"


# Not None: a program may pass None by mistake, and gets the TypeError for it.
_NO_APPLICATION: Final = _Missing.APPLICATION

_BODIES: Final = {400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden"}


@overload
def login_required(
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Callable[[Any], _Guarded]: ...
@overload
def login_required(
    application: Any,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> _Guarded: ...
def login_required(
    application: Any = _NO_APPLICATION,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Any:
    """Wrap an application so that only users who are logged in reach it.

    For other users, an HTTP request is redirected to the login page. A WebSocket is refused with
    status 401, or with close code 4401 if the server cannot send a status.

    Scope:
        `user` decides: put the guard inside `AuthMiddlewareStack` or `TokenAuthMiddleware`.

    Args:
        application: An ASGI 3 application, a router, a consumer class, or a two-step application.
            Without it, the result is a decorator for an application.
        login_url: The login page: a URL, or the name of a URL; None for the setting `LOGIN_URL`.
        redirect_field_name: The query parameter that tells the login page where to return to;
            None to omit it.
        raise_exception: Whether an HTTP request is answered with status 401 instead of a redirect.

    Returns:
        The guarded application. A `URLRouter` inside it still routes the rest of the path.

    Raises:
        TypeError: `application` is not an application.

    Source: `django.contrib.auth.mixins.LoginRequiredMixin`.
    """

    def guard(application: Any) -> _Guarded:
        return Guard(application, None, login_url, redirect_field_name, raise_exception)

    return guard if application is _NO_APPLICATION else guard(application)


@overload
def permission_required(
    perm: str | Iterable[str],
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Callable[[Any], _Guarded]: ...
@overload
def permission_required(
    perm: str | Iterable[str],
    application: Any,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> _Guarded: ...
def permission_required(
    perm: str | Iterable[str],
    application: Any = _NO_APPLICATION,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Any:
    """Wrap an application so that only users with a permission reach it.

    Users who are not logged in are treated as by `login_required`. Users who lack the permission
    are refused with status 403, or with close code 4403.

    Scope:
        `user` decides; its `has_perms` is called in a thread.

    Args:
        perm: A permission, such as `chat.add_room`, or several, all of which are required.
        application: As in `login_required`, like the arguments below.
        login_url: The login page.
        redirect_field_name: The query parameter that tells the login page where to return to.
        raise_exception: Whether an HTTP request is answered with status 401 instead of a redirect.

    Raises:
        TypeError: `application` is not an application, or a permission is not a str.
        ImproperlyConfigured: No permission is given, so that every user would pass.

    Source: `django.contrib.auth.mixins.PermissionRequiredMixin`.
    """
    perms = _as_permissions(perm)

    def guard(application: Any) -> _Guarded:
        return Guard(application, perms, login_url, redirect_field_name, raise_exception)

    return guard if application is _NO_APPLICATION else guard(application)


def _as_permissions(perm: object) -> tuple[str, ...]:
    perms: tuple[Any, ...] = (perm,)
    if isinstance(perm, Iterable) and not isinstance(perm, str):
        perms = tuple(perm)
    for each in perms:
        if not isinstance(each, str):
            raise TypeError(
                "permission_required expects a permission such as 'chat.add_room' first, or "
                f"several, not {each!r}"
            )
    if not perms:
        raise ImproperlyConfigured(
            "permission_required was given no permission and would let every user pass; name "
            "one, or use login_required"
        )
    return perms


class Guard(BaseMiddleware):
    """Refuse the connections of users who may not pass, or redirect them to the login page."""

    def __init__(
        self,
        inner: Any,
        perms: tuple[str, ...] | None,
        login_url: Any,
        redirect_field_name: str | None,
        raise_exception: bool,
    ) -> None:
        """Wrap an application.

        Args:
            inner: An application of any kind.
            perms: The permissions that are required; None if a login is enough.
            login_url: The login page.
            redirect_field_name: The query parameter that tells the login page where to return to.
            raise_exception: Whether nobody is redirected to the login page.
        """
        super().__init__(inner)
        self._perms = perms
        self._login_url = login_url
        self._redirect_field_name = redirect_field_name
        self._raise_exception = raise_exception

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one connection, unless it is refused.

        Scope:
            `user` decides.

        Raises:
            ValueError: There is no user, or the scope's type cannot have one.
        """
        # The server's own `lifespan` has no user and always passes.
        if scope["type"] == "lifespan" or await self._may_pass(self._user(scope)):
            return await super().__call__(scope, receive, send)
        status = 403
        headers: list[tuple[str, str]] = []
        if not scope["user"].is_authenticated:
            if scope["type"] == "http" and not self._raise_exception:
                status, headers = self._redirect_to_login(scope)
            else:
                status, headers = 401, challenge_headers(scope)
        if status in _BODIES:
            text = "%s %.200r was refused with status %d"
            kind, path = scope["type"], scope.get("path")
            log_of_client(logger, logging.INFO, scope, text, kind, path, status)
        await refuse(
            scope,
            receive,
            send,
            status,
            headers=headers,
            body=_BODIES.get(status, b""),
            code=close_code_of(status),
        )
        return None

    def _user(self, scope: Scope) -> Any:
        name = "login_required" if self._perms is None else "permission_required"
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(
                f"{name} guards http and websocket connections; a scope of the type "
                f"{scope['type']!r} has no user who could be asked to log in"
            )
        user = scope.get("user")
        if user is None:
            raise ValueError(
                f"{name} found no user in the scope of {name_that_thing(self.inner)}. Put it "
                "inside AuthMiddlewareStack or TokenAuthMiddleware, as in "
                f"AuthMiddlewareStack(URLRouter([path(..., {name}(...))]))"
            )
        return user

    async def _may_pass(self, user: Any) -> bool:
        if self._perms is None:
            return bool(user.is_authenticated)
        # Not `ahas_perms`, which asks the backends directly: a user model may override `has_perm`,
        # and the result must be the same as in a view. A thread also serves all permissions at
        # once, and closes its database connections.
        return bool(await look_up(user.has_perms, self._perms))

    def _redirect_to_login(self, scope: Scope) -> tuple[int, list[tuple[str, str]]]:
        """Return the status and headers of Django's answer to an anonymous request."""
        # Imported here because these need the settings, and the second one imports models.
        from django.contrib.auth.mixins import AccessMixin
        from django.core.handlers.asgi import ASGIRequest, get_script_prefix
        from django.urls import base

        # Any: the mixin's `request` is declared by views only.
        mixin: Any = AccessMixin()
        mixin.login_url = self._login_url
        mixin.redirect_field_name = self._redirect_field_name
        outer_prefix = base.get_script_prefix()
        base.set_script_prefix(get_script_prefix(scope))
        try:
            mixin.request = ASGIRequest(scope, io.BytesIO())
            mixin.request.user = scope["user"]
            response = mixin.handle_no_permission()
        except (SuspiciousOperation, UnicodeDecodeError):
            # A host that is not allowed, or a query that is not UTF-8; Django answers 400 as well.
            return 400, []
        finally:
            base.set_script_prefix(outer_prefix)
        return response.status_code, list(response.items())
