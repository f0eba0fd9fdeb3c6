"""The middleware that lets in who is logged in, or who has a permission."""

import io
import logging
from typing import Any, Final

from django.core.exceptions import SuspiciousOperation

from channels_auth._challenges import challenge_headers
from channels_core.applications import name_that_thing
from channels_core.db import database_sync_to_async
from channels_core.middleware import BaseMiddleware
from channels_core.refusal import refuse
from channels_core.typing import AnyScope, Receive, Scope, Send

__all__ = ["Guard"]

logger = logging.getLogger("django.channels.auth")

_BODIES: Final = {400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden"}


class Guard(BaseMiddleware):
    """Refuse the connections of others, or send them to the login page."""

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
            perms: The permissions that are needed, all of them; None for a login alone.
            login_url: The login page.
            redirect_field_name: The parameter for the way back.
            raise_exception: Send nobody to the login page.
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
            ValueError: There is no user, or the scope is of a type that cannot have one.
        """
        # A server's start and end are nobody's.
        if scope["type"] == "lifespan" or await self._lets_in(self._user(scope)):
            return await super().__call__(scope, receive, send)
        status = 403
        headers: list[tuple[str, str]] = []
        if not scope["user"].is_authenticated:
            if scope["type"] == "http" and not self._raise_exception:
                status, headers = self._to_the_login_page(scope)
            else:
                status, headers = 401, challenge_headers(scope)
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

    def _to_the_login_page(self, scope: Scope) -> tuple[int, list[tuple[str, str]]]:
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
            return 400, []
        finally:
            base.set_script_prefix(outer_prefix)
        return response.status_code, list(response.items())
