"""Daphne's server, which at its stop tells each application that it is over."""

import asyncio
from typing import Any

__all__ = ["make_server"]


def make_server(base: type[Any]) -> type[Any]:
    """Return a subclass of Daphne's `Server`, whose module brings Twisted along."""

    class Server(base):  # type: ignore[misc] # Daphne has no types
        """Let all applications end when it stops, whatever its list of connections holds."""

        connections: dict[Any, dict[str, Any]]

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
