"""Daphne's server, which shows warnings, and at its stop tells each application that it is over."""

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["make_server"]


def make_server(base: type[Any]) -> type[Any]:
    """Return a subclass of Daphne's `Server`, whose module brings Twisted along."""

    class Server(base):  # type: ignore[misc] # Daphne has no types
        """Let all applications end when it stops, whatever its list of connections holds."""

        connections: dict[Any, dict[str, Any]]
        ready_callable: Callable[[], None] | None

        def run(self) -> None:
            """Serve; a warning, as of a coroutine that was not awaited, is shown as ever."""
            show, ready = warnings.showwarning, self.ready_callable

            def be_ready() -> None:
                # Twisted has taken warnings to its own log, which Daphne drops.
                warnings.showwarning = show
                if ready is not None:
                    ready()

            self.ready_callable = be_ready
            super().run()

        def kill_all_applications(self) -> Any:
            """Cancel the applications, and return what Twisted waits for until they have ended."""
            everything = self.connections
            # Daphne's method expects an application on each connection. There is none on one that
            # has become a WebSocket, or on which no request has come yet, and its KeyError would
            # have nothing cancelled.
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
            # That is over as soon as the first one has ended.
            wait = asyncio.wait(pending, timeout=self.application_close_timeout)
            return ended.fromFuture(asyncio.ensure_future(wait, loop=pending[0].get_loop()))

    return Server
