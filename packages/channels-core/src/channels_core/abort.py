"""End connections as their server does, where it offers applications no way to."""

from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

__all__ = ["abort_response", "close_with"]

#: How many applications may stand between the server and who sends, each with a `send` around
#: the one it was given.
_DEPTH: Final = 12


def abort_response(send: Any) -> None:
    """Close the connection of an HTTP response that has begun and cannot be ended.

    ASGI has no message for that: servers do it themselves when the application raises. Daphne
    does not. It tries to send its own page of the error, which is refused since a response has
    begun; the client waits for ever, and what Daphne looks after once a second is looked after
    no more. So its connection is closed here; with any other server this does nothing.

    Args:
        send: What the application was given to send with: the server's own, or a function or
            method of another application around it.

    Source: `daphne.server.Server.application_checker`, Daphne 4.2.
    """
    for request in _bound_requests(send, _DEPTH):
        if not request.finished:
            # Both are the server's own ways of ending: written data goes out, then the socket
            # closes. What Daphne hears of that too late is told at once, before it sees the
            # exception.
            request.loseConnection()
            request.server.protocol_disconnected(request)
        return


def close_with(send: Any, code: int, reason: str) -> bool:
    """Close a WebSocket with a code that Daphne does not take from applications.

    It takes 1000 and those from 3000 on, and refuses the others by an exception.

    Args:
        send: What the application was given to send with.
        code: Close code.
        reason: Close reason.

    Returns:
        Whether it is closed; False for other servers, and for a handshake that is not answered.

    Source: `autobahn.websocket.protocol.WebSocketProtocol.sendCloseFrame`.
    """
    for protocol in _bound_requests(send, _DEPTH):
        if getattr(protocol, "state", None) == getattr(protocol, "STATE_OPEN", protocol):
            protocol.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)
            return True
    return False


def _bound_requests(send: Any, depth: int) -> Iterator[Any]:
    """Look for the request of Daphne's that a function sends to in the end."""
    if isinstance(send, partial):
        for bound in send.args:
            if type(bound).__module__.startswith("daphne."):
                yield bound
        inner: list[Any] = [send.func, *send.args]
    elif isinstance(send, MethodType):
        inner = [*getattr(send.__self__, "__dict__", {}).values()]
    elif isinstance(send, FunctionType):
        inner = [_content(cell) for cell in send.__closure__ or ()]
    else:
        return
    if depth:
        for each in inner:
            if isinstance(each, partial | MethodType | FunctionType):
                yield from _bound_requests(each, depth - 1)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that is not set
        return None
