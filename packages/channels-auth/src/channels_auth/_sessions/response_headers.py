"""The headers that a session adds to a response: its cookie, and `Vary: Cookie`."""

from __future__ import annotations

import time
from collections.abc import Collection, MutableMapping
from typing import Any

from django.conf import settings
from django.utils.http import http_date

from channels_auth.cookies import CookieMiddleware

__all__ = [
    "delete_session_cookie",
    "set_session_cookie",
    "vary_on_cookie",
]


def set_session_cookie(
    message: MutableMapping[str, Any], name: str, key: str, max_age: int | None
) -> None:
    """Add the session's cookie to the headers of a message, with the attributes in the settings.

    Args:
        message: The message, whose `headers` becomes a new list.
        name: The cookie's name.
        key: The session's key.
        max_age: Seconds that the browser keeps the cookie; None until it is closed.

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
    """Make the browser delete the session's cookie.

    Source: `django.contrib.sessions.middleware.SessionMiddleware.process_response`.
    """
    CookieMiddleware.delete_cookie(
        message,
        name,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        samesite=settings.SESSION_COOKIE_SAMESITE or None,
    )


def vary_on_cookie(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers that make caches keep the responses to different cookies apart.

    Source: `django.utils.cache.patch_vary_headers`.
    """
    given = [value for name, value in headers if name.lower() == b"vary"]
    fields = [field.strip() for value in given for field in value.split(b",") if field.strip()]
    if b"*" in fields:
        fields = [b"*"]
    elif b"cookie" not in [field.lower() for field in fields]:
        fields.append(b"Cookie")
    merged: bytes | None = b", ".join(fields)
    result = []
    for pair in headers:
        if pair[0].lower() != b"vary":
            result.append(pair)
        elif merged is not None:
            # At the position and with the spelling that the program chose.
            result.append((pair[0], merged))
            merged = None
    return result if merged is None else [*result, (b"vary", merged)]
