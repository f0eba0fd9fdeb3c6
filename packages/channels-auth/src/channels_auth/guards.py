"""Let only those in who are logged in, or who have a permission."""

import io
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, overload

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation

from channels_core.applications import name_that_thing
from channels_core.db import database_sync_to_async
from channels_core.middleware import BaseMiddleware
from channels_core.refusal import refuse
from channels_core.typing import Receive, Scope, Send

__all__ = ["login_required", "permission_required"]

logger = logging.getLogger("django.channels.auth")

# Any: type checkers shall take it for the view of a route, as they do a consumer's `as_asgi()`.
_Guarded: TypeAlias = Callable[..., Any]

_BODIES: Final = {400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden"}


@overload
def login_required(
    application: None = None,
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
    application: Any = None,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Any:
    """Wrap an application so that only users who are logged in reach it.

    An HTTP request of anybody else is sent to the login page, a WebSocket is refused with status
    401, or with close code 4401 where the server cannot send a status.

    Scope:
        `user` decides: put the guard inside `AuthMiddlewareStack` or `TokenAuthMiddleware`.

    Args:
        application: An ASGI 3 application, a router, a consumer class, or a two-step application.
            Left out, the result is a decorator for one.
        login_url: The login page: a URL, or the name of one; None for the setting `LOGIN_URL`.
        redirect_field_name: The parameter that tells the login page where to go back to; None
            for none.
        raise_exception: Answer an HTTP request with status 401, too.

    Returns:
        The guarded application; a `URLRouter` inside still routes the rest of the path.

    Raises:
        TypeError: It is no application.

    Source: `django.contrib.auth.mixins.LoginRequiredMixin`.
    """

    def guard(application: Any) -> _Guarded:
        return _Guard(application, None, login_url, redirect_field_name, raise_exception)

    return guard if application is None else guard(application)


@overload
def permission_required(
    perm: str | Iterable[str],
    application: None = None,
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
    application: Any = None,
    *,
    login_url: Any = None,
    redirect_field_name: str | None = "next",
    raise_exception: bool = False,
) -> Any:
    """Wrap an application so that only users with a permission reach it.

    Others are answered as by `login_required` while they are not logged in. Once they are, it is
    with status 403, or close code 4403.

    Scope:
        `user` decides, by `has_perms`, which is called in a thread.

    Args:
        perm: A permission, such as `chat.add_room`; or several, all of which are needed.
        application: As in `login_required`, and so are `login_url`, `redirect_field_name` and
            `raise_exception`.
        login_url: The login page.
        redirect_field_name: The parameter for the way back.
        raise_exception: Send nobody to the login page.

    Raises:
        TypeError: It is no application, or a permission is no str.
        ImproperlyConfigured: There is no permission, so that anybody would be let in.

    Source: `django.contrib.auth.mixins.PermissionRequiredMixin`.
    """
    perms = _checked(perm)

    def guard(application: Any) -> _Guarded:
        return _Guard(application, perms, login_url, redirect_field_name, raise_exception)

    return guard if application is None else guard(application)


def _checked(perm: object) -> tuple[str, ...]:
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
            "permission_required was given no permission, so that it would let anybody in; name "
            "one, or use login_required"
        )
    return perms


class _Guard(BaseMiddleware):
    def __init__(
        self,
        inner: Any,
        perms: tuple[str, ...] | None,
        login_url: Any,
        redirect_field_name: str | None,
        raise_exception: bool,
    ) -> None:
        super().__init__(inner)
        self._perms = perms
        self._login_url = login_url
        self._redirect_field_name = redirect_field_name
        self._raise_exception = raise_exception

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        # A server's start and end are nobody's.
        if scope["type"] == "lifespan" or await self._lets_in(self._user(scope)):
            return await super().__call__(scope, receive, send)
        status = 403
        headers: dict[str, str] = {}
        if not scope["user"].is_authenticated:
            status = 401
            if scope["type"] == "http" and not self._raise_exception:
                status, headers = self._to_the_login_page(scope)
        if status in _BODIES:
            logger.info(
                "%s %.200r was refused with status %d", scope["type"], scope.get("path"), status
            )
        body = _BODIES.get(status, b"")
        await refuse(scope, receive, send, status, headers=headers, body=body, code=4000 + status)
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

    async def _lets_in(self, user: Any) -> bool:
        if self._perms is None:
            return bool(user.is_authenticated)
        # Not ahas_perms: it asks the backends and not the user, so that a user model with a
        # has_perm of its own would be more generous here than in a view. One thread does for
        # all permissions, too, and closes its database connections.
        return bool(await database_sync_to_async(user.has_perms)(self._perms))

    def _to_the_login_page(self, scope: Scope) -> tuple[int, dict[str, str]]:
        """Return the status and the headers that Django answers an anonymous request with."""
        # Here, because these need the settings, and the second one the models.
        from django.contrib.auth.mixins import AccessMixin
        from django.core.handlers.asgi import ASGIRequest, get_script_prefix
        from django.urls import base

        # Any: views bring what the mixin needs besides.
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
            # A host that is not allowed, or a query that is no text: Django answers so as well.
            return 400, {}
        finally:
            base.set_script_prefix(outer_prefix)
        return response.status_code, dict(response.items())
