"""Build the request that Django's authentication functions and signals get for a connection."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from channels_core.typing import Scope

__all__ = ["request_from_scope"]

# Django knows HTTP's schemes only; `is_secure()` and absolute URLs depend on the scheme.
_HTTP_SCHEMES: Final = {"ws": "http", "wss": "https"}

# They describe a body, and this request has none; Django would parse the first one.
_BODY_HEADERS: Final = frozenset({b"content-type", b"content-length"})


def request_from_scope(scope: Scope, session: Any, user: Any = None) -> HttpRequest:
    """Build a request from a connection's scope.

    It has what receivers of Django's signals read: path, headers, cookies, the client's address,
    the session and the user. Its body is empty. Changes to the request do not reach the
    connection, except changes to the session.

    Args:
        scope: The connection's scope. Missing entries get default values.
        session: Becomes `request.session`.
        user: Becomes `request.user`. If it is None, the session's user is looked up on first use.
    """
    request = ASGIRequest(_valid_for_django(scope), BytesIO())
    request.session = session
    if "cookies" in scope:
        # Read from all `cookie` headers; Django's request would read several as one.
        request.COOKIES = scope["cookies"]
    if user is None:
        _add_user_of_session(request)
    else:
        request.user = user
        request.auser = _current_user(request)
    return request


def _valid_for_django(scope: Scope) -> Scope:
    """Return a copy of a scope that Django's request class accepts, whatever the client sent."""
    query = scope.get("query_string", b"")
    scheme = scope.get("scheme", "http")
    return {
        **scope,
        "method": scope.get("method", "GET"),
        "path": scope.get("path", "/"),
        "query_string": query.decode(errors="replace") if isinstance(query, bytes) else query,
        "scheme": _HTTP_SCHEMES.get(scheme, scheme),
        "headers": [
            (name, value)
            for name, value in scope.get("headers", ())
            if name.lower() not in _BODY_HEADERS
        ],
    }


def _add_user_of_session(request: HttpRequest) -> None:
    # Imported here because it imports models.
    from django.contrib.auth.middleware import AuthenticationMiddleware

    AuthenticationMiddleware(lambda _: HttpResponse()).process_request(request)


def _current_user(request: HttpRequest) -> Any:
    async def auser() -> Any:
        return request.user

    return auser
