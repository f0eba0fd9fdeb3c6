"""The session's cookie, on a message that has headers."""

import time
from collections.abc import MutableMapping
from typing import Any

from django.conf import settings
from django.utils.http import http_date

from channels_auth.cookies import CookieMiddleware

__all__ = ["delete_session_cookie", "set_session_cookie"]


def set_session_cookie(
    message: MutableMapping[str, Any], name: str, key: str, max_age: int | None
) -> None:
    """Add the session's cookie to the headers of a message, as the settings have it.

    Source: `django.contrib.sessions.middleware.SessionMiddleware.process_response`.
    """
    CookieMiddleware.set_cookie(
        message,
        name,
        key,
        max_age=max_age,
        expires=None if max_age is None else http_date(time.time() + max_age),
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=settings.SESSION_COOKIE_HTTPONLY,
        samesite=settings.SESSION_COOKIE_SAMESITE or None,
    )


def delete_session_cookie(message: MutableMapping[str, Any], name: str) -> None:
    """Have the browser delete the session's cookie.

    Source: `django.contrib.sessions.middleware.SessionMiddleware.process_response`.
    """
    CookieMiddleware.delete_cookie(
        message,
        name,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        samesite=settings.SESSION_COOKIE_SAMESITE or None,
    )
