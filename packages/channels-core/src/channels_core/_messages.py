"""Build the ASGI messages of a WebSocket, and read those that come in."""

import json
import math
from typing import Any, Final, NoReturn

from django.utils.functional import Promise

from channels_core.exceptions import InvalidFrame, InvalidJSON
from channels_core.headers import HeadersArgument, encode_response_headers, pass_on_headers
from channels_core.typing import (
    Message,
    Scope,
    WebsocketAccept,
    WebsocketClose,
    WebsocketDenialBody,
    WebsocketDenialStart,
    WebsocketFrame,
)

__all__ = [
    "CLOSE_CODE",
    "CLOSING_TYPES",
    "accept",
    "close",
    "decode_json",
    "denial",
    "encode_json",
    "frame",
    "not_taken",
    "payload",
    "undecodable",
]

#: Attribute of an exception that says with which code its frame is to be answered.
CLOSE_CODE: Final = "_channels_close_code"

#: The types of the messages after which the server needs no further close of a WebSocket.
CLOSING_TYPES: Final = frozenset(
    {"websocket.close", "websocket.http.response.start", "websocket.http.response.body"}
)


def accept(subprotocol: str | None, headers: HeadersArgument) -> WebsocketAccept:
    """Build the message that accepts a handshake."""
    message: WebsocketAccept = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        message["headers"] = pass_on_headers(headers)
    return message


def frame(text_data: str | None, bytes_data: bytes | None) -> WebsocketFrame:
    """Build the message that sends a frame; text goes first if both are given.

    Raises:
        ValueError: There is neither text nor bytes.
        TypeError: The text is no str, or the bytes are none.
    """
    if text_data is not None:
        if isinstance(text_data, Promise):  # of gettext_lazy(), for example
            text_data = str(text_data)
        elif not isinstance(text_data, str):
            raise TypeError(
                f"text_data must be a str, not {type(text_data).__name__}; "
                "a JSON consumer's send_json() takes other values"
            )
        return {"type": "websocket.send", "text": text_data}
    if bytes_data is not None:
        if type(bytes_data) is not bytes:
            try:
                bytes_data = bytes(memoryview(bytes_data))
            except TypeError:
                raise TypeError(
                    f"bytes_data must be bytes, not {type(bytes_data).__name__}"
                ) from None
        return {"type": "websocket.send", "bytes": bytes_data}
    raise ValueError("You must pass one of bytes_data or text_data")


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
    """Build the messages that refuse a handshake: with an HTTP response where that is offered.

    Scope:
        `extensions` holds `websocket.http.response` if the server offers it; otherwise it
        answers a close before the handshake with 403.

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


def payload(message: Message, limit: int | None) -> dict[str, Any]:
    """Return what a frame carries, as the keyword argument for `receive`.

    Args:
        message: A `websocket.receive` message.
        limit: The largest payload that is taken, in bytes (text as UTF-8); None for any.

    Returns:
        `{"text_data": str}` or `{"bytes_data": bytes}`.

    Raises:
        InvalidFrame: The payload is larger than the limit (1009), or there is none (1003).
    """
    text = message.get("text")
    if text is not None:
        # A character takes one to four bytes: most frames need not be encoded to be measured.
        if limit is not None and len(text) * 4 > limit and len(text.encode()) > limit:
            raise _too_big(limit)
        return {"text_data": text}
    data = message.get("bytes")
    if data is None:
        raise InvalidFrame("A frame has neither text nor bytes", 1003)
    if limit is not None and len(data) > limit:
        raise _too_big(limit)
    return {"bytes_data": data}


def not_taken(error: TypeError, payload: dict[str, Any]) -> InvalidFrame | None:
    """Return what to raise where `receive` has no parameter for a kind of frame.

    A program that handles text only often leaves the other parameter out.

    Args:
        error: What the call of `receive` raised.
        payload: What it was called with.

    Returns:
        None if the call succeeded and the error comes from the method's own code.
    """
    # The second is what Python says where an ordinary function was called and awaited.
    if error.__traceback__ is None or error.__traceback__.tb_next or "'await'" in str(error):
        return None
    if "text_data" in payload:
        return InvalidFrame("A text frame came where binary ones are expected", 1003)
    return InvalidFrame("A binary frame came where text is expected", 1003)


def _too_big(limit: int) -> InvalidFrame:
    return InvalidFrame(f"A frame is larger than max_message_size ({limit} bytes)", 1009)


def decode_json(text: str) -> Any:
    """Parse JSON strictly: `NaN` and `Infinity`, which it does not have, are refused.

    So is a number too large for a float, which would become the latter.

    Raises:
        ValueError: The text is no JSON.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number:.30} is too large a number")
    return value


def undecodable(error: Exception) -> InvalidFrame | None:
    """Return what to raise for a text frame that `decode_json` could not read.

    Args:
        error: What it raised. A program may expect that very class, from its own `decode_json`
            for example: it then stays what it is, and is marked for whoever closes the socket.

    Returns:
        None if the error itself is to be raised on.
    """
    if isinstance(error, json.JSONDecodeError):
        return InvalidJSON(error.msg, error.doc, error.pos)
    if type(error) in (ValueError, RecursionError):
        return InvalidFrame(f"A text frame is not JSON: {error}", 1007)
    setattr(error, CLOSE_CODE, 1007)
    return None


def encode_json(content: Any, encoder: type[json.JSONEncoder] | None) -> str:
    """Serialise a value with an encoder class; None for the standard library's."""
    return json.dumps(content, cls=encoder)
