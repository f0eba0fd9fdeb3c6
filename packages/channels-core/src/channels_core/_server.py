"""Find a server's own object for a connection, behind the `send` that the server has given.

What is known of Daphne and Uvicorn is loaded with the first connection of each.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from channels_core._scope import SERVER
from channels_core.typing import AnyScope

__all__ = ["with_server"]


def with_server(scope: AnyScope, send: Any) -> Any:
    """Keep the object of Daphne, or of Uvicorn, for the connection in its scope.

    It is the server's own scope, and no copy: an application around ours reads what the program
    has put into it.

    Args:
        scope: The connection's scope. It stays as it is if the server is neither Daphne nor
            Uvicorn or cannot be seen, since middleware of another package has wrapped `send`.
        send: The `send` that the application was given.

    Returns:
        The scope.

    Source: `daphne.server.Server`, Daphne 4.2; `send` of `WebSocketsSansIOProtocol` and
    `WSProtocol`, and `asgi_send` of `WebSocketProtocol`, in `uvicorn.protocols.websockets`, Uvicorn
    0.54.
    """
    if SERVER in scope:
        return scope
    if isinstance(send, partial):
        for bound in send.args:
            if _module(bound).startswith("daphne."):
                from channels_core._daphne import DaphneOutgoing

                scope[SERVER] = DaphneOutgoing(bound)
    elif scope.get("type") == "websocket":
        protocol: Any = getattr(send, "__self__", None)
        if _module(protocol).startswith("uvicorn.protocols.websockets."):
            from channels_core._uvicorn import Outgoing

            scope[SERVER] = Outgoing(protocol)
    return scope


def _module(thing: object) -> str:
    """Return the name of the module that has the class of an object."""
    return type(thing).__module__
