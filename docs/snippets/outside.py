"""Look at a site from outside."""

import sys

from websockets.sync.client import connect


def check(url: str, origin: str) -> None:
    """Open a WebSocket, and wait for the answer to a ping of the protocol."""
    with connect(url, origin=origin, open_timeout=10) as socket:  # type: ignore[arg-type] # a plain str will do
        if not socket.ping().wait(10):
            sys.exit(f"{url} does not answer")
