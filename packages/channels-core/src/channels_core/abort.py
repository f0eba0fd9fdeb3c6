"""End connections by Daphne's own means, where ASGI has no message for it.

Our outermost application finds Daphne's object for the connection in the `send` that it was called
with, and `with_server` keeps the object in the scope. An application inside reads it from there.
Other servers end such connections by themselves, and nothing is kept.

Source: `daphne.server.Server`, Daphne 4.2, which calls applications with a `send` that is
`partial(self.handle_reply, protocol)`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from channels_core._scope import SERVER
from channels_core._uvicorn import Outgoing, outgoing_of
from channels_core.typing import AnyScope

__all__ = ["abort_response", "close_with", "find_outgoing", "with_server"]


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
    """
    if SERVER in scope:
        return scope
    if isinstance(send, partial):
        for bound in send.args:
            if type(bound).__module__.startswith("daphne."):
                scope[SERVER] = _DaphneOutgoing(bound)
    elif scope.get("type") == "websocket" and (outgoing := outgoing_of(send)) is not None:
        scope[SERVER] = outgoing
    return scope


class _DaphneOutgoing(Outgoing):
    """What waits in Daphne for one client: its `send` never waits, so all of it."""

    __slots__ = ()

    def allow(self, size: int) -> None:
        """Do nothing: as many bytes may wait as there are."""

    def waiting(self) -> int:
        """Return the number of bytes that wait, in a transport or in those that it wraps.

        Source: `twisted.internet.abstract.FileDescriptor`, Twisted 26.
        """
        size, transport = 0, self.protocol.transport
        while transport is not None:
            size += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
            size += getattr(transport, "_tempDataLen", 0)
            transport = getattr(transport, "transport", None)
        return size

    def abort(self) -> None:
        """Drop the connection, with what waits."""
        self.protocol.transport.abortConnection()


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
    return found.protocol if isinstance(found, _DaphneOutgoing) else None


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
