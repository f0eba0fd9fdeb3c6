"""The request that Django's own authentication functions and signals get, made from a scope."""

from io import BytesIO
from typing import Any, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from channels_core.typing import Scope

__all__ = ["request_from_scope"]

# A WebSocket's schemes, as Django knows them: `is_secure()` and absolute addresses depend on it.
_SCHEMES: Final = {"ws": "http", "wss": "https"}

# They describe a body, which is not for this request to read; and Django parses the first one.
_OF_THE_BODY: Final = frozenset({b"content-type", b"content-length"})


def request_from_scope(scope: Scope, session: Any, user: Any = None) -> HttpRequest:
    """Build a request over a connection's scope.

    It has what receivers of Django's signals look at: path, headers, cookies, the client's address,
    the session and the user. Its body is empty, and nothing of the connection changes with it but
    the session.

    Args:
        scope: The connection's scope. What a hand-made one lacks is filled in.
        session: What becomes `request.session`.
        user: What becomes `request.user`; without one that is the session's, looked up on use.
    """
    request = ASGIRequest(_readable(scope), BytesIO())
    request.session = session
    if "cookies" in scope:
        # Read from all `cookie` headers; Django's request takes several of them for one.
        request.COOKIES = scope["cookies"]
    if user is None:
        _add_user_of_session(request)
    else:
        request.user = user
        request.auser = _current_user(request)
    return request


def _readable(scope: Scope) -> Scope:
    """Return a scope that Django's request class takes, whatever the client has sent."""
    query = scope.get("query_string", b"")
    scheme = scope.get("scheme", "http")
    return {
        **scope,
        "method": scope.get("method", "GET"),
        "path": scope.get("path", "/"),
        "query_string": query.decode(errors="replace") if isinstance(query, bytes) else query,
        "scheme": _SCHEMES.get(scheme, scheme),
        "headers": [
            (name, value)
            for name, value in scope.get("headers", ())
            if name.lower() not in _OF_THE_BODY
        ],
    }


def _add_user_of_session(request: HttpRequest) -> None:
    # Here, because it imports models.
    from django.contrib.auth.middleware import AuthenticationMiddleware

    AuthenticationMiddleware(lambda _: HttpResponse()).process_request(request)


def _current_user(request: HttpRequest) -> Any:
    async def auser() -> Any:
        return request.user

    return auser
