"""Sessions and logins for connections under test, made by Django's own test client."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

__all__ = ["make_session"]


def make_session(user: Any, backend: str | None, data: Mapping[str, Any] | None) -> Any:
    """Store a session, in which a user is logged in perhaps, and return it.

    The browser's cookie for it is named by `SESSION_COOKIE_NAME`, and holds its `session_key`.
    Called in a thread that may use the database.

    Args:
        user: Who is logged in; None for nobody.
        backend: Dotted path of the backend that authenticated the user; None for the first of
            `AUTHENTICATION_BACKENDS` that can load users.
        data: What else the session holds.

    Raises:
        ImproperlyConfigured: The project has no sessions.

    Source: `django.test.Client.force_login`.
    """
    # Django's test client needs this app for its sessions, and passes over it in silence.
    if "django.contrib.sessions" not in settings.INSTALLED_APPS:
        raise ImproperlyConfigured(
            "user= and session= need 'django.contrib.sessions' in INSTALLED_APPS; for a "
            'consumer that reads scope["user"] alone, scope={"user": user} does without'
        )
    client = Client()
    if user is not None:
        client.force_login(user, backend)
    session = client.session
    session.update(data or {})
    session.save()
    return session
