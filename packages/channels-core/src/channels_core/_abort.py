"""Cut a response short where its server would leave it open."""

from functools import partial
from typing import Any

__all__ = ["abort_response"]


def abort_response(send: Any) -> None:
    """Close the connection of an HTTP response that has begun and cannot be ended.

    ASGI has no message for that: servers do it themselves when the application raises. Daphne
    does not. It tries to send its own page of the error, which is refused since a response has
    begun; the client waits for ever, and what Daphne looks after once a second is looked after
    no more. So its connection is closed here; with any other server this does nothing.

    Args:
        send: What the server gave the application, as it is.

    Source: `daphne.server.Server.application_checker`, Daphne 4.2.
    """
    request: Any = send.args[0] if isinstance(send, partial) and send.args else None
    if not type(request).__module__.startswith("daphne.") or request.finished:
        return
    # Both are the server's own ways of ending: written data goes out, then the socket closes.
    # What Daphne does not hear of in time is told at once, before it sees the exception.
    request.loseConnection()
    request.server.protocol_disconnected(request)
