"""Warn of WebSocket handshakes that reach Django as HTTP requests, where they cannot succeed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["check_request"]

logger = logging.getLogger("django.channels.http")

#: Seconds between two warnings: a page may retry all the time.
_PERIOD: Final = 60.0
#: Each handshake has it, even behind a proxy that drops `Upgrade` (RFC 6455, section 4.1).
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
    """Check each request, and log at most one warning a minute.

    Attributes:
        silent_until: When the next warning may be logged, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self.silent_until = 0.0

    def check(
        self,
        environ: Mapping[str, Any] | None = None,
        scope: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Receive the signal `request_started`, sent for WSGI and for ASGI requests."""
        if environ is not None and "HTTP_SEC_WEBSOCKET_KEY" in environ:
            self._warn(_WSGI, environ.get("PATH_INFO"))
        if scope is not None and any(name == _HEADER for name, _ in scope.get("headers", ())):
            self._warn(_HTTP, scope.get("path"))

    def _warn(self, text: str, path: str | None) -> None:
        now = time.monotonic()
        if now >= self.silent_until:
            self.silent_until = now + _PERIOD
            logger.warning(text, path)


_watch: Final = _Watch()

#: The receiver of the signal `request_started`.
check_request: Final = _watch.check
