"""Look at a site from outside."""

import sys

from websockets.sync.client import connect
from websockets.typing import Origin


def check(url: str, origin: str) -> None:
    """Open a WebSocket, and wait for the answer to a ping of the protocol."""
    with connect(url, origin=Origin(origin), open_timeout=10) as socket:
        if not socket.ping().wait(10):
            sys.exit(f"{url} does not answer")
