"""Sessions and logins for connections under test, made by Django's own test client."""

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
    """Who the client of a connection is, and what its session holds.

    Attributes:
        user: Who is logged in; None for nobody, as is `AnonymousUser()`.
        backend: Dotted path of the backend that authenticated the user; None for the first of
            `AUTHENTICATION_BACKENDS` that can load users.
        session: What else the session holds; None for nothing.
    """

    user: Any = None
    backend: str | None = None
    session: Mapping[str, Any] | None = None

    async def enter(self, scope: Scope, application: Any) -> None:
        """Store the session, and give the client the cookie for it.

        If nothing around the consumer reads the cookie, the scope gets what it stands for. The
        user is in the scope as well where a program's own middleware may be around the consumer:
        it may keep a user that is there, and know nothing of the cookie.

        Args:
            scope: Changed in place. Middleware takes a session or a user that it holds already
                for settled: they become those of this login.
            application: What is to serve the connection.

        Raises:
            TypeError: The user is none that can be logged in.
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
        """Store a session if one is needed; otherwise return None.

        Source: `django.test.Client.force_login`.
        """
        # Also by a lazy user that is looked up.
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
        """Tell whether the session is to have a user."""
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
            f"{expected} {user!r:.200}. Anything else can be given to consumers that have no "
            "middleware around them only"
        )


def _reads_no_cookie(application: Any, kind: Any) -> bool:
    """Tell whether nothing but routers is around the consumers that serve this type of scope."""
    match application:
        case ProtocolTypeRouter():
            return _reads_no_cookie(application.application_mapping.get(kind), kind)
        case URLRouter():
            return all(_reads_no_cookie(route.callback, kind) for route in application.routes)
    # An application made of a consumer class, or the class.
    return hasattr(application, "consumer_class") or hasattr(application, "as_asgi")


def _may_ignore_cookie(application: Any, kind: Any) -> bool:
    """Tell whether some consumer may be served without a look at the user of the session."""
    return any(
        place.is_last and not any(map(_looks_up_users, place.around))
        for place in walk(application)
        if place.protocol in (None, kind)
    )


def _looks_up_users(application: Any) -> bool:
    """Tell whether this is the middleware of Channels, and no subclass with a way of its own."""
    auth: Any = sys.modules.get("channels_auth.auth")
    if auth is None or not isinstance(application, auth.AuthMiddleware):
        return False
    return all(
        getattr(type(application), step) is getattr(auth.AuthMiddleware, step)
        for step in ("__call__", "populate_scope", "resolve_scope")
    )
