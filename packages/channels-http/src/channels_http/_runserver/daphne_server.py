"""Daphne's server, changed to show warnings, and to cancel each application when it stops."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["make_server"]


def make_server(base: type[Any]) -> type[Any]:
    """Return a subclass of Daphne's `Server`; not a class statement, since Daphne loads Twisted."""

    class Server(base):  # type: ignore[misc] # Daphne has no types
        """End all applications when the server stops, whatever its list of connections holds."""

        connections: dict[Any, dict[str, Any]]
        ready_callable: Callable[[], None] | None

        def run(self) -> None:
            """Serve, and show warnings, such as the one about a coroutine that was not awaited."""
            show, ready = warnings.showwarning, self.ready_callable

            def be_ready() -> None:
                # Twisted has redirected warnings to its own log, which Daphne drops.
                warnings.showwarning = show
                if ready is not None:
                    ready()

            self.ready_callable = be_ready
            super().run()

        def kill_all_applications(self) -> Any:
            """Cancel the applications, and return a Deferred for their end."""
            everything = self.connections
            # Daphne's method expects an application on each connection. A connection that became a
            # WebSocket, or has sent no request yet, has none: the KeyError would keep the
            # applications from being cancelled.
            self.connections = {
                protocol: details
                for protocol, details in everything.items()
                if "application_instance" in details
            }
            pending = [
                details["application_instance"]
                for details in self.connections.values()
                if not details["application_instance"].done()
            ]
            try:
                ended = super().kill_all_applications()
            finally:
                self.connections = everything
            if not pending:
                return ended
            # Daphne's own Deferred fires as soon as the first application has ended.
            wait = asyncio.wait(pending, timeout=self.application_close_timeout)
            return ended.fromFuture(asyncio.ensure_future(wait, loop=pending[0].get_loop()))

    return Server
