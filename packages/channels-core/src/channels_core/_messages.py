"""Build the ASGI messages that a WebSocket consumer sends, and read those that it receives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from django.utils.functional import Promise

from channels_core._json import NotJSONError
from channels_core.exceptions import InvalidFrame, InvalidJSON
from channels_core.typing import Message, Scope

if TYPE_CHECKING:
    from channels_core.headers import HeadersArgument
    from channels_core.typing import (
        WebsocketAccept,
        WebsocketClose,
        WebsocketDenialBody,
        WebsocketDenialStart,
        WebsocketFrame,
    )

__all__ = [
    "CLOSE_CODE",
    "CLOSING_TYPES",
    "FIRST_OF_REFUSAL",
    "LAST_OF_REFUSAL",
    "accept",
    "close",
    "denial",
    "frame",
    "is_malformed",
    "not_taken",
    "payload",
    "size",
    "undecodable",
]

#: Attribute of an exception that holds the close code to answer its frame with.
CLOSE_CODE: Final = "_channels_close_code"

#: The types of the two messages that refuse a handshake by a response.
FIRST_OF_REFUSAL: Final = "websocket.http.response.start"
LAST_OF_REFUSAL: Final = "websocket.http.response.body"
#: The types of the messages after which the server needs no further close of a WebSocket.
CLOSING_TYPES: Final = frozenset({"websocket.close", FIRST_OF_REFUSAL, LAST_OF_REFUSAL})


def accept(subprotocol: str | None, headers: HeadersArgument) -> WebsocketAccept:
    """Build the message that accepts a handshake."""
    message: WebsocketAccept = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        # Few programs have headers, and each process imports this module.
        from channels_core.headers import encode_accept_headers

        message["headers"] = encode_accept_headers(headers, subprotocol)
    return message


def frame(text_data: str | None, bytes_data: bytes | None) -> WebsocketFrame:
    """Build the message that sends a frame; text goes first if both are given.

    Raises:
        ValueError: There is neither text nor bytes.
        TypeError: The text is not a str, or the bytes are not bytes-like.
    """
    if type(text_data) is str:  # nearly always
        return {"type": "websocket.send", "text": text_data}
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
        code: Close code; with None and True, the server sends 1000.
        reason: Close reason, at most 123 bytes in UTF-8; None for a close without a reason.
    """
    message: WebsocketClose = {"type": "websocket.close"}
    if code is not None and code is not True:
        # An IntEnum becomes an int: some servers reject subclasses of int.
        given: Any = code  # a program without type checks may pass anything
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
    """Build the messages that refuse a handshake, with an HTTP response if the server can send it.

    Scope:
        `extensions` holds `websocket.http.response` if the server can send a response. Other
        servers get a close, and answer the handshake with 403.

    Source: ASGI, "Websocket Denial Response".
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return [close(code, reason)]
    from channels_core.headers import encode_response_headers

    content = body.encode() if isinstance(body, str) else bytes(body)
    fields = encode_response_headers(headers, content)
    return [
        {"type": FIRST_OF_REFUSAL, "status": int(status), "headers": fields},
        {"type": LAST_OF_REFUSAL, "body": content},
    ]


def payload(message: Message, limit: int | None) -> tuple[Any, Any]:
    """Return the payload of a frame: its text and None, or None and its bytes.

    Args:
        message: A `websocket.receive` message.
        limit: The size of the largest allowed payload, in bytes (text as UTF-8); None for any.

    Raises:
        InvalidFrame: The payload is larger than the limit (1009), or the frame has neither text
            nor bytes (1003).
    """
    text = message.get("text")
    if text is not None:
        # A character takes at most four bytes in UTF-8, so short texts need not be encoded.
        if limit is not None and len(text) * 4 > limit and len(text.encode()) > limit:
            raise _too_big(limit)
        return text, None
    data = message.get("bytes")
    if data is None:
        raise InvalidFrame("A frame has neither text nor bytes", 1003)
    if limit is not None and len(data) > limit:
        raise _too_big(limit)
    return None, data


def not_taken(error: TypeError, *, is_text: bool) -> InvalidFrame | None:
    """Return the error for a frame whose kind the program's `receive` does not take.

    A program that handles text only often leaves the parameter `bytes_data` out.

    Args:
        error: The exception that `receive` raised.
        is_text: Whether it was called with a text.

    Returns:
        None if the error comes from the code of the method, and not from its parameters.
    """
    # "'await'": Python's error where an ordinary function was called and its result awaited.
    if error.__traceback__ is None or error.__traceback__.tb_next or "'await'" in str(error):
        return None
    if is_text:
        return InvalidFrame("A text frame came where binary ones are expected", 1003)
    return InvalidFrame("A binary frame came where text is expected", 1003)


def size(message: Message) -> int:
    """Return the number of bytes of a frame that is sent."""
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def is_malformed(error: Exception, message: Message) -> bool:
    """Return whether an exception comes from a frame whose text is no str, or bytes no bytes.

    Servers do not send such a frame, but a program may over the channel layer.

    Args:
        error: The exception of the frame's handler.
        message: The `websocket.receive` message.
    """
    text, data = message.get("text"), message.get("bytes")
    if text is not None:
        return isinstance(error, TypeError | AttributeError) and not isinstance(text, str)
    return isinstance(error, TypeError | AttributeError) and not isinstance(data, bytes)


def _too_big(limit: int) -> InvalidFrame:
    return InvalidFrame(f"A frame is larger than max_message_size ({limit} bytes)", 1009)


def undecodable(error: Exception) -> InvalidFrame | None:
    """Return the error to raise for a text frame that `decode_json` could not read.

    Args:
        error: The exception of `decode_json`. If a program's own `decode_json` has raised one of
            its own classes, the program may catch that class. So the exception is not replaced,
            but marked with the close code 1007.

    Returns:
        None if the exception itself is to be raised.
    """
    if isinstance(error, json.JSONDecodeError):
        return InvalidJSON(error.msg, error.doc, error.pos)
    if type(error) is NotJSONError:
        return InvalidFrame(f"A text frame is not JSON: {error}", 1007)
    if type(error) in (ValueError, RecursionError):
        # Not the text of the error: a program's `decode_json` may quote its input in it.
        return InvalidFrame(f"A text frame is not JSON: {type(error).__name__}", 1007)
    setattr(error, CLOSE_CODE, 1007)
    return None
