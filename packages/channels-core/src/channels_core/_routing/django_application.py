"""Django's own ASGI application, for a router without an application for HTTP."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

from channels_core.forks import start_anew_in_children
from channels_core.typing import AnyScope, Receive, Scope, Send

__all__ = ["DjangoApplication"]


class DjangoApplication:
    """Django's own ASGI application, made when the first request comes.

    The router may be made before the settings and the apps are loaded.
    """

    def __init__(self) -> None:
        self._application: Callable[[Scope, Receive, Send], Awaitable[Any]] | None = None
        self._make_lock()
        start_anew_in_children(self, DjangoApplication._make_lock)

    def _make_lock(self) -> None:
        self._lock = threading.Lock()

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> Any:
        """Serve one request.

        Raises:
            ImproperlyConfigured: There are no settings.
        """
        application = self._application or self._make()
        return await application(scope, receive, send)

    def _make(self) -> Callable[[Scope, Receive, Send], Awaitable[Any]]:
        # Imported here: programs that route `http` themselves do not need it.
        from django.core.asgi import get_asgi_application

        with self._lock:
            if self._application is None:
                self._application = get_asgi_application()
            return self._application
