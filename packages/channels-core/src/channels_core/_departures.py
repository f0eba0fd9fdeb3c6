"""Tell the errors by which a server's `send` says that the client has left.

ASGI has servers raise an `OSError`. Two of them also raise other errors if the client leaves, or
breaks the protocol, at an unlucky moment, and a client can choose the moment.
"""

from __future__ import annotations

from typing import Final

__all__ = ["client_has_left"]

_AUTOBAHN: Final = ("autobahn.exception", "Disconnected")
_UVICORN: Final = "Expected ASGI message 'websocket.accept'"
_UVICORN_CLOSED: Final = "after sending 'websocket.close'"


def client_has_left(error: Exception, *, accepted: bool) -> bool:
    """Return whether an error of a server's `send` means that the client has left.

    Args:
        error: The error.
        accepted: Whether the handshake was accepted before, and the application has not closed.

    Source: the ASGI specification, "Disconnected client"; `WebSocketProtocol.sendMessage` of
    Autobahn 26.10, which Daphne uses; `WebSocketsSansIOProtocol.send` of Uvicorn 0.54, which drops
    the acceptance if its transport is closing, and then misses it, and which has closed by itself
    after a frame that breaks the protocol.
    """
    if isinstance(error, OSError):
        return True
    kind = type(error)
    if (kind.__module__, kind.__name__) == _AUTOBAHN:
        return True
    text = str(error)
    told = text.startswith(_UVICORN) or _UVICORN_CLOSED in text
    return accepted and kind is RuntimeError and told
