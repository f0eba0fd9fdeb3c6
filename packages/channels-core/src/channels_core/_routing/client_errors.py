"""Answer what an application raises because of its client, rather than because of a fault.

Of an exception that reaches the outermost router, `answer` answers these, with one warning in the
log; every other one goes on to the server:

- `RouteNotFound`: status 404, if nothing was sent before. A WebSocket is closed if the server
  offers no HTTP response for a handshake.
- `InvalidFrame`: the WebSocket is closed with the error's code. For HTTP, only a channel layer
  raises one, since the client is too slow for its messages: status 503 if nothing was sent before.
- `SessionInterrupted`, for a session that was deleted while its request was served: status 400.

An outage of the channel layer is no fault of the client, but it is answered here as well, without a
line for each connection: status 503 if nothing was sent before.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Final

from channels_core._layers.outages import is_to_refuse, was_answered
from channels_core._messages import CLOSING_TYPES
from channels_core._uvicorn import let_server_close
from channels_core.abort import abort_response
from channels_core.exceptions import InvalidFrame, InvalidJSON, RouteNotFound
from channels_core.refusal import refusal, refuse_for_now
from channels_core.typing import Message, Receive, Scope, Send

__all__ = ["answer"]

logger = logging.getLogger("django.channels.routing")

_BODY: Final = b"Not Found"
_RESTART: Final = 1012  # IANA, "WebSocket Close Code Number Registry": service restart


async def answer(
    error: Exception,
    scope: Scope,
    receive: Receive,
    send: Send,
    last_sent: str | None,
    *,
    was_asked: bool,
) -> bool:
    """Answer an error that the client has caused, or an outage, and return whether it is answered.

    An HTTP response that fails halfway is cut short, so that the client notices.

    Args:
        error: What an application has raised.
        scope: The connection's scope, of the type `http` or `websocket`.
        receive: ASGI receive, of the server.
        send: ASGI send, of the server.
        last_sent: The type of the message that the application has sent last; None without one.
        was_asked: Whether the application has asked for a message.
    """
    if isinstance(error, RouteNotFound):
        if last_sent is not None:
            return False
        _warn(scope, error)
        # A server raises an OSError if the client has left.
        with contextlib.suppress(OSError):
            if scope["type"] == "websocket" and not was_asked:
                await receive()  # the handshake
            await _answer_not_found(scope, send)
        return True
    if isinstance(error, InvalidFrame):
        _warn(scope, error)
        return await _answer_invalid_frame(scope, receive, send, last_sent, error)
    # Both marks are for an outage of the layer, which its connections have recorded.
    if is_to_refuse(error):
        await _refuse(scope, receive, send, last_sent, was_asked=was_asked)
        return True
    return was_answered(error) or await _end_response(scope, send, error, last_sent)


async def _answer_invalid_frame(
    scope: Scope, receive: Receive, send: Send, last_sent: str | None, error: InvalidFrame
) -> bool:
    """Close a WebSocket, or refuse a request; return False if its response has begun."""
    if scope["type"] == "http":
        # From a channel layer, for a client that reads too slowly.
        if last_sent is not None:
            abort_response(scope)
            return False
        await _refuse(scope, receive, send, None, was_asked=False)
    elif last_sent not in CLOSING_TYPES:
        with contextlib.suppress(OSError):
            await _close(send, error.code)
    return True


async def _refuse(
    scope: Scope, receive: Receive, send: Send, last_sent: str | None, *, was_asked: bool
) -> None:
    """Refuse a connection in an outage; close it if something else than us has accepted it."""

    async def received() -> Message:
        return {"type": "websocket.connect"}

    if last_sent is None:
        await refuse_for_now(scope, received if was_asked else receive, send)
    elif scope["type"] == "websocket" and last_sent not in CLOSING_TYPES:
        with contextlib.suppress(OSError):
            await _close(send, _RESTART)


async def _end_response(scope: Scope, send: Send, error: Exception, last_sent: str | None) -> bool:
    """Answer an error of an HTTP application if possible, and return whether it is answered."""
    if scope["type"] != "http":
        return False
    if last_sent is not None:
        abort_response(scope)
        return False
    from django.contrib.sessions.exceptions import SessionInterrupted

    if not isinstance(error, SessionInterrupted):
        return False
    _warn(scope, error)
    # Django answers it like this.
    with contextlib.suppress(OSError):
        for message in refusal(scope, 400, body=str(error)):
            await send(message)
    return True


async def _answer_not_found(scope: Scope, send: Send) -> None:
    messages = refusal(scope, 404, body=_BODY)
    for message in messages:
        await send(message)
    await let_server_close(messages[-1]["type"])


async def _close(send: Send, code: int) -> None:
    try:
        await send({"type": "websocket.close", "code": code})
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - Autobahn, under Daphne, raises nothing more exact
        # It sends portable codes only.
        from channels_core.close_codes import portable_close_code

        await send({"type": "websocket.close", "code": portable_close_code(code)})


def _warn(scope: Scope, error: Exception) -> None:
    # Loaded with the first such error: all connections run through this module.
    from channels_core._failure_log import text_with_notes
    from channels_core.client_log import log_of_client, one_line

    # The standard library's text, which programs expect of the error, does not name the frame.
    fault = (
        f"A text frame is not JSON: {error}"
        if isinstance(error, InvalidJSON)
        else text_with_notes(error)
    )
    # Cut short and escaped: the client chose the path, and no line of the log may be its work.
    kind, path, line = scope["type"], scope.get("path"), one_line(fault)
    log_of_client(
        logger, logging.WARNING, scope, "%s %.200r: %s", kind, path, line, kind=type(error)
    )
