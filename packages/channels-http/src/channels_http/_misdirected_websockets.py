"""Tell of a WebSocket that has come to Django as an HTTP request, which its client cannot use."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from django.core.signals import request_started

__all__ = ["watch_requests"]

logger = logging.getLogger("django.channels.http")

#: Seconds between two lines of the log: a page may try again and again.
_PERIOD: Final = 60.0
#: What each WebSocket has, also behind a proxy that drops `Upgrade` (RFC 6455, section 4.1).
_HEADER: Final = b"sec-websocket-key"

_WSGI: Final = (
    "A WebSocket for %.200r has come to a WSGI server, which serves none. Serve the site's ASGI "
    "application with an ASGI server, such as Daphne or Uvicorn; for development with runserver, "
    "without --noasgi"
)
_HTTP: Final = (
    "A WebSocket for %.200r has come to Django as an HTTP request. Either the server serves no "
    "WebSockets (for Uvicorn: python -m pip install 'uvicorn[standard]'), or the proxy in front "
    "of it does not pass the headers Upgrade and Connection on"
)


class _Watch:
    """Looks at each request, and logs one in a minute."""

    def __init__(self) -> None:
        self.silent_until = 0.0

    def look(
        self,
        environ: Mapping[str, Any] | None = None,
        scope: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the signal that a request has come, by WSGI or by ASGI."""
        if environ is not None and "HTTP_SEC_WEBSOCKET_KEY" in environ:
            self._tell(_WSGI, environ.get("PATH_INFO"))
        if scope is not None and any(name == _HEADER for name, _ in scope.get("headers", ())):
            self._tell(_HTTP, scope.get("path"))

    def _tell(self, text: str, path: str | None) -> None:
        now = time.monotonic()
        if now >= self.silent_until:
            self.silent_until = now + _PERIOD
            logger.warning(text, path)


_watch: Final = _Watch()


def watch_requests() -> None:
    """Begin to look at requests; once more does nothing."""
    request_started.connect(_watch.look, dispatch_uid="channels_http.upgrades")
