"""Build the ASGI messages that close a WebSocket or refuse its handshake."""

from typing import Any, Final

from channels_core.headers import HeadersArgument, encode_response_headers
from channels_core.typing import (
    Scope,
    WebsocketClose,
    WebsocketDenialBody,
    WebsocketDenialStart,
)

__all__ = ["CLOSING_TYPES", "close", "denial"]

#: The types of the messages after which the server needs no further close of a WebSocket.
CLOSING_TYPES: Final = frozenset(
    {"websocket.close", "websocket.http.response.start", "websocket.http.response.body"}
)


def close(code: int | bool | None, reason: str | None) -> WebsocketClose:
    """Build the message that closes a socket, or refuses its handshake.

    Args:
        code: Close code; None and True leave it to the server (1000).
        reason: Close reason, at most 123 bytes in UTF-8; None for none.
    """
    message: WebsocketClose = {"type": "websocket.close"}
    if code is not None and code is not True:
        # Of an IntEnum too: servers ask for an int, and no subclass of it.
        given: Any = code  # a program without type checks may give anything
        message["code"] = int(given) if isinstance(given, int) else given
    if reason:
        message["reason"] = reason
    return message


def denial(
    scope: Scope,
    status: int,
    headers: HeadersArgument = None,
    body: bytes | str = b"",
    code: int | None = None,
    reason: str | None = None,
) -> list[WebsocketDenialStart | WebsocketDenialBody | WebsocketClose]:
    """Build the messages that refuse a handshake: an HTTP response if the server offers that.

    Scope:
        `extensions` holds `websocket.http.response` if the server offers it; otherwise the
        server answers a close before the handshake with 403.

    Source: ASGI, "Websocket Denial Response".
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return [close(code, reason)]
    content = body.encode() if isinstance(body, str) else bytes(body)
    fields = encode_response_headers(headers, content)
    return [
        {"type": "websocket.http.response.start", "status": int(status), "headers": fields},
        {"type": "websocket.http.response.body", "body": content},
    ]
