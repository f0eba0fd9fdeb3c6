"""Sessions and logins for connections under test, made by Django's own test client."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client

from channels_core.typing import Scope
from channels_testing._scopes import add_cookies

__all__ = ["Login"]


@dataclass
class Login:
    """Who the client of a connection is, and what its session holds.

    Attributes:
        user: Who is logged in; None for nobody.
        backend: Dotted path of the backend that authenticated the user; None for the first of
            `AUTHENTICATION_BACKENDS` that can load users.
        session: What else the session holds; None for nothing.
    """

    user: Any = None
    backend: str | None = None
    session: Mapping[str, Any] | None = None

    async def enter(self, scope: Scope, *, bare: bool) -> None:
        """Store the session, and give the client the cookie for it.

        Args:
            scope: Changed in place.
            bare: Whether nothing reads the cookie, so that the scope has to have what it stands
                for.
        """
        if self.user is None and self.session is None:
            return
        session = await sync_to_async(self._make_session)()
        add_cookies(scope, {settings.SESSION_COOKIE_NAME: session.session_key})
        if bare:
            scope.setdefault("session", session)
            if self.user is not None:
                scope.setdefault("user", self.user)

    def _make_session(self) -> Any:
        # Source: `django.test.Client.force_login`.
        client = Client()
        if self.user is not None:
            client.force_login(self.user, self.backend)
        session = client.session
        session.update(self.session or {})
        session.save()
        return session
