"""Refuse a connection before its application has answered it, over HTTP or a WebSocket."""

import contextlib
from contextvars import ContextVar

from channels_core._messages import denial
from channels_core._uvicorn import let_server_close
from channels_core.headers import HeadersArgument, encode_response_headers
from channels_core.typing import AnyScope, Message, Receive, Send

__all__ = ["failures_are_answered", "refusal", "refuse"]

#: Set by the outermost router for what it serves.
answers_failures: ContextVar[bool] = ContextVar("channels_answers_failures", default=False)


def failures_are_answered() -> bool:
    """Return whether the present connection is one of an outermost router's.

    Its client is told of a failure then. An application that a test drives by itself, without a
    `ProtocolTypeRouter`, lets its exceptions out and sends nothing.
    """
    return answers_failures.get()


def refusal(
    scope: AnyScope,
    status: int,
    *,
    headers: HeadersArgument = None,
    body: bytes | str = b"",
    code: int | None = None,
    reason: str | None = None,
) -> list[Message]:
    """Build the messages that refuse a connection.

    Args:
        scope: The connection's scope, of the type `http` or `websocket`.
        status: HTTP status. A server without the `websocket.http.response` extension answers
            every refused handshake with 403.
        headers: Extra headers: pairs or a mapping, of str or bytes. `Content-Type` (plain text)
            and `Content-Length` are added unless they are there.
        body: The response's body; str is encoded as UTF-8. `HEAD` gets its length only.
        code: Close code of a WebSocket on a server without that extension.
        reason: Close reason that goes with the code.

    Returns:
        A whole HTTP response, or the refusal of a handshake.

    Raises:
        ValueError: A header holds CR, LF or NUL.

    Source: ASGI, "HTTP" and "Websocket Denial Response".
    """
    if scope["type"] == "websocket":
        return [*denial(scope, status, headers, body, code, reason)]
    content = body.encode() if isinstance(body, str) else bytes(body)
    fields = encode_response_headers(headers, content)
    if scope.get("method") == "HEAD":
        content = b""
    return [
        {"type": "http.response.start", "status": status, "headers": fields},
        {"type": "http.response.body", "body": content},
    ]


async def refuse(
    scope: AnyScope,
    receive: Receive,
    send: Send,
    status: int,
    *,
    headers: HeadersArgument = None,
    body: bytes | str = b"",
    code: int | None = None,
    reason: str | None = None,
) -> None:
    """Refuse a connection that no application has touched yet.

    Args:
        scope: As in `refusal`, and so are `status`, `headers`, `body`, `code` and `reason`.
        receive: ASGI receive; a WebSocket's handshake is taken from it first.
        send: ASGI send. It may say with an `OSError` that the client has left.
        status: HTTP status.
        headers: Extra headers.
        body: The response's body.
        code: Close code.
        reason: Close reason.

    Raises:
        ValueError: A header holds CR, LF or NUL.
    """
    messages = refusal(scope, status, headers=headers, body=body, code=code, reason=reason)
    if scope["type"] == "websocket":
        await receive()
    with contextlib.suppress(OSError):
        for message in messages:
            await send(message)
        await let_server_close(messages[-1]["type"])
