"""Find out which origin a handshake was sent to, as Django does for a request."""

from __future__ import annotations

from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

from django.core.exceptions import DisallowedHost

from channels_core.security._origin import Origin, read_origin
from channels_core.typing import Scope

__all__ = ["own_origin"]

#: Pages have HTTP's schemes, and Django knows these only.
_HTTP_SCHEMES: Final = {"ws": "http", "wss": "https"}


def own_origin(scope: Scope) -> Origin | None:
    """Return the origin that a page of this site has, if it opened the WebSocket.

    The proxy's headers count as the settings `SECURE_PROXY_SSL_HEADER` and `USE_X_FORWARDED_HOST`
    say, and in no other way.

    Returns:
        None if Django would answer a request to this host with status 400.

    Source: `django.middleware.csrf.CsrfViewMiddleware`, which compares the same.
    """
    # Imported here, since it needs the settings.
    from django.core.handlers.asgi import ASGIRequest

    scheme = scope.get("scheme") or "ws"
    request = ASGIRequest(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "scheme": _HTTP_SCHEMES.get(scheme, scheme),
            "server": scope.get("server"),
            # Not those of a body, which Django would parse.
            "headers": [
                pair
                for pair in scope.get("headers") or ()
                if not pair[0].lower().startswith(b"content-")
            ],
        },
        BytesIO(),
    )
    try:
        return read_origin(urlsplit(f"{request.scheme}://{request.get_host()}"))
    except (DisallowedHost, ValueError):
        return None
