"""Log the client of a connection in, by Django's own test client.

The session is stored in the database, and the client gets its cookie. Consumers without middleware
around them would not read a cookie, so they find the session and the user in their scope.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.models import Model
from django.test import Client

from channels_core.inspection import walk
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.typing import Scope
from channels_testing._application.connections import new_connections_closed
from channels_testing._scopes import add_cookies

__all__ = ["Login"]


@dataclass
class Login:
    """The user and the session of a connection's client.

    Attributes:
        user: The user who is logged in; None or `AnonymousUser()` for a client without a login.
        backend: Dotted path of the backend that authenticated the user; None for the first of
            `AUTHENTICATION_BACKENDS` that can load users.
        session: Further values of the session; None if there are none.
    """

    user: Any = None
    backend: str | None = None
    session: Mapping[str, Any] | None = None

    async def enter(self, scope: Scope, application: Any) -> None:
        """Store the session, and give the client its cookie.

        The scope gets the session and the user as well if no middleware around the consumer reads
        the cookie. It gets the user if a program's own middleware is around the consumer, which may
        read `scope["user"]` instead of the cookie.

        Args:
            scope: Changed in place. A session or user that it already has is replaced, since
                middleware would keep it.
            application: The application that will serve the connection.

        Raises:
            TypeError: The user cannot be logged in.
            ValueError: The user has not been saved.
        """
        if self.user is None and self.session is None:
            return
        bare = _reads_no_cookie(application, scope.get("type"))
        session = await sync_to_async(self._make_session)(bare)
        found = {"session": session, "user": self.user}
        if session is not None:
            add_cookies(scope, {settings.SESSION_COOKIE_NAME: session.session_key})
        for key, value in found.items():
            if value is None:
                continue
            ignored = key == "user" and _may_ignore_cookie(application, scope.get("type"))
            if bare or ignored or key in scope:
                scope[key] = value

    def _make_session(self, bare: bool) -> Any:
        """Store a session and return it; return None if the client needs none.

        Source: `django.test.Client.force_login`.
        """
        # A lazy user opens a connection when it is first read.
        with new_connections_closed():
            logs_in = self._logs_in(bare)
            if not logs_in and self.session is None:
                return None
            client = Client()
            if logs_in:
                client.force_login(self.user, self.backend)
            session = client.session
            session.update(self.session or {})
            session.save()
            return session

    def _logs_in(self, bare: bool) -> bool:
        """Return whether the session needs the user."""
        user = self.user
        if user is None or getattr(user, "is_anonymous", False) is True:
            return False
        if isinstance(user, Model) and user.pk is not None and not user._state.adding:
            return True
        if bare:
            return False  # The scope can hold anything.
        expected = "Expected as user a saved instance of the user model, or AnonymousUser(), got"
        if isinstance(user, Model):
            raise ValueError(f"{expected} one that is not in the database; save it: {user!r:.200}")
        raise TypeError(
            f"{expected} {user!r:.200}. Other objects work only for consumers without middleware "
            "around them"
        )


def _reads_no_cookie(application: Any, kind: Any) -> bool:
    """Return whether only routers are around the consumers that serve this type of scope."""
    match application:
        case ProtocolTypeRouter():
            return _reads_no_cookie(application.application_mapping.get(kind), kind)
        case URLRouter():
            return all(_reads_no_cookie(route.callback, kind) for route in application.routes)
    # A consumer class, or the application that its as_asgi() returned.
    return hasattr(application, "consumer_class") or hasattr(application, "as_asgi")


def _may_ignore_cookie(application: Any, kind: Any) -> bool:
    """Return whether some consumer may be served without reading the session's user."""
    return any(
        place.is_last and not any(map(_looks_up_users, place.around))
        for place in walk(application)
        if place.protocol in (None, kind)
    )


def _looks_up_users(application: Any) -> bool:
    """Return whether this is the middleware of Channels, or a subclass that works like it."""
    auth: Any = sys.modules.get("channels_auth.auth")
    if auth is None or not isinstance(application, auth.AuthMiddleware):
        return False
    return all(
        getattr(type(application), step) is getattr(auth.AuthMiddleware, step)
        for step in ("__call__", "populate_scope", "resolve_scope")
    )
