"""What a router serves if the program has no application for it: `lifespan`, and Django for `http`.

`Lifespan` acknowledges a server's start and end, and runs the functions that a program has for
them.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from asgiref.sync import iscoroutinefunction

from channels_core.forks import start_anew_in_children
from channels_core.typing import AnyScope, Receive, Scope, Send

__all__ = ["DjangoApplication", "Lifespan"]

logger = logging.getLogger("django.channels.lifespan")


class Lifespan:
    """An application for the scope type `lifespan`.

    Source: ASGI, "Lifespan Protocol".
    """

    def __init__(
        self,
        on_startup: Iterable[Callable[[], Any]] = (),
        on_shutdown: Iterable[Callable[[], Any]] = (),
    ) -> None:
        """Take the functions of a program, which its router has checked.

        Args:
            on_startup: Called without arguments, in their order, before the server accepts
                connections. A coroutine function runs in the server's event loop, any other in
                a thread, where it may use the database.
            on_shutdown: Called in the same way when the server ends, each even if another fails.
        """
        self.on_startup = on_startup
        self.on_shutdown = on_shutdown

    async def __call__(self, scope: AnyScope, receive: Receive, send: Send) -> None:
        """Serve the server itself.

        Messages:
            Receives `lifespan.startup` and `lifespan.shutdown`, and answers each with `.complete`
            or with `.failed` and the error. At the end it first waits for connections that the
            server has cancelled.
        """
        while True:
            event = (await receive())["type"]
            if event == "lifespan.startup":
                error = await _run(self.on_startup, to_the_end=False)
            elif event == "lifespan.shutdown":
                from channels_core._shutdown.open_connections import wait_for_cancelled

                # First, since the clean-up of consumers may use what the program closes.
                await wait_for_cancelled()
                error = await _run(self.on_shutdown, to_the_end=True)
            else:
                continue
            if error is None:
                await send({"type": f"{event}.complete"})
            else:
                message = f"{type(error).__name__}: {error}"
                await send({"type": f"{event}.failed", "message": message})
            if error is not None or event == "lifespan.shutdown":
                return


async def _run(functions: Iterable[Callable[[], Any]], *, to_the_end: bool) -> Exception | None:
    """Call functions in turn, log each exception, and return the first one."""
    first: Exception | None = None
    for function in functions:
        try:
            await _call(function)
        except Exception as error:
            # Its filter keeps a handler that may block out of the event loop's thread.
            from channels_core import _logging  # noqa: F401 - see above

            logger.exception("%r failed", function)
            first = first or error
            if not to_the_end:
                break
    return first


async def _call(function: Callable[[], Any]) -> None:
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        result = function()
    else:
        from channels_core.db import database_sync_to_async  # few programs have such functions

        result = await database_sync_to_async(function)()
    if inspect.isawaitable(result):
        await result


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
