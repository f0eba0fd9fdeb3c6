"""End connections by Daphne's own means, where ASGI has no message for it.

Our outermost application finds Daphne's object for the connection in the `send` that it was called
with, and `with_server` keeps the object in the scope. An application inside reads it from there.
Other servers end such connections by themselves, and nothing is kept.

Source: `daphne.server.Server`, Daphne 4.2, which calls applications with a `send` that is
`partial(self.handle_reply, protocol)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from channels_core._daphne import DaphneOutgoing
from channels_core._scope import SERVER
from channels_core._server import with_server
from channels_core.typing import AnyScope

if TYPE_CHECKING:
    from channels_core._uvicorn import Outgoing

__all__ = ["abort_response", "close_with", "find_outgoing", "with_server"]


def find_outgoing(scope: AnyScope) -> Outgoing | None:
    """Return what waits in the server for the client of a WebSocket.

    Args:
        scope: The connection's scope, from `with_server`.

    Returns:
        None if the server cannot be seen. The `send` of Hypercorn and Granian waits for the client.
    """
    outgoing: Outgoing | None = scope.get(SERVER)
    return outgoing


def _daphnes_object(scope: AnyScope) -> Any:
    found = scope.get(SERVER)
    return found.protocol if isinstance(found, DaphneOutgoing) else None


def abort_response(scope: AnyScope) -> None:
    """Close the connection of an HTTP response that has begun and cannot be ended.

    Servers do that themselves when the application raises. Daphne does not: it tries to send a
    page of the error, which is refused since a response has begun. The client then waits for
    ever, and Daphne's check of its applications, once a second, stops. So its connection is closed
    here; with any other server this does nothing.

    Args:
        scope: The connection's scope, from `with_server`.

    Source: `daphne.server.Server.application_checker`, Daphne 4.2.
    """
    request = _daphnes_object(scope)
    if request is not None and not request.finished:
        # Both are Daphne's own ways to end: written data goes out, then the socket closes. Daphne
        # hears of that too late, so it is told before it sees the exception.
        request.loseConnection()
        request.server.protocol_disconnected(request)


def close_with(scope: AnyScope, code: int, reason: str) -> bool:
    """Close a WebSocket with a code that Daphne does not take from applications.

    Daphne takes portable codes (`channels_core.close_codes`), and refuses others by an exception.

    Args:
        scope: The connection's scope, from `with_server`.
        code: Close code.
        reason: Close reason.

    Returns:
        Whether the WebSocket is closed; False for other servers, and if the handshake has not
        been accepted.

    Source: `autobahn.websocket.protocol.WebSocketProtocol.sendCloseFrame`.
    """
    protocol = _daphnes_object(scope)
    if protocol is None or getattr(protocol, "state", None) != getattr(
        protocol, "STATE_OPEN", protocol
    ):
        return False
    protocol.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)
    return True
