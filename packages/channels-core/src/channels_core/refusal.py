"""Refuse a connection before its application has answered it, over HTTP or a WebSocket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from channels_core._layers.outages import is_outage, mark_as_answered, mark_to_refuse, ongoing
from channels_core._messages import denial
from channels_core._scope import answers_failures
from channels_core._uvicorn import let_server_close
from channels_core.typing import AnyScope, Message, Receive, Send

if TYPE_CHECKING:
    from channels_core.headers import HeadersArgument

__all__ = [
    "failures_are_answered",
    "refusal",
    "refuse",
    "refuse_for_now",
    "refusing_in_outages",
]

_TRY_AGAIN_LATER: Final = 1013  # IANA, "WebSocket Close Code Number Registry"


def failures_are_answered() -> bool:
    """Return whether the current connection came through a `ProtocolTypeRouter`.

    If so, the client gets an answer to a failure. Otherwise, as in a test of one application, an
    exception is raised and nothing is sent.
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
            is added if it is missing, and on a server `X-Content-Type-Options: nosniff`, too.
            `Content-Length` is that of the body; other headers that frame a message are left out.
        body: The response's body; str is encoded as UTF-8. A `HEAD` request gets only its length.
        code: Close code of a WebSocket on a server without that extension.
        reason: Close reason that goes with the code.

    Returns:
        A whole HTTP response, or the refusal of a handshake.

    Raises:
        ValueError: A header holds CR, LF or NUL.

    Source: ASGI, "HTTP" and "Websocket Denial Response".
    """
    # Each connection loads this module, and few are refused.
    from channels_core.headers import encode_headers, encode_response_headers, may_add_headers

    given = encode_headers(headers)
    # No browser may take the body, which may quote the client, for something else than it is.
    if may_add_headers(scope) and b"x-content-type-options" not in dict(given):
        given.append((b"x-content-type-options", b"nosniff"))
    if scope["type"] == "websocket":
        return [*denial(scope, status, given, body, code, reason)]
    content = body.encode() if isinstance(body, str) else bytes(body)
    fields = encode_response_headers(given, content)
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
    """Refuse a connection before any application has read or sent a message.

    Args:
        scope: As in `refusal`, and so are `status`, `headers`, `body`, `code` and `reason`.
        receive: ASGI receive; the handshake of a WebSocket is read from it first.
        send: ASGI send. An `OSError`, by which a server reports that the client has left, is
            ignored.
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


async def refuse_for_now(scope: AnyScope, receive: Receive, send: Send) -> None:
    """Refuse a connection since what it needs is away for a while, so that its client tries again.

    The status is 503; the close code of a server without the extension is 1013.

    Args:
        scope: As in `refuse`, and so are `receive` and `send`.
        receive: ASGI receive.
        send: ASGI send.
    """
    await refuse(
        scope,
        receive,
        send,
        503,
        body="Service Unavailable",
        code=_TRY_AGAIN_LATER,
        reason="Try again later",
    )


@contextlib.contextmanager
def refusing_in_outages(layer: Any, scope: AnyScope) -> Iterator[None]:
    """Let an outage of a channel layer refuse a connection, as one that a consumer meets does.

    For middleware that calls a layer before the connection is answered. An exception leaves the
    block. If it is an outage, `ProtocolTypeRouter` refuses the connection as `refuse_for_now` does,
    and the log has one line for all who meet the outage. Without such a router, as in a test of one
    application, nothing is done.

    Args:
        layer: The channel layer that the block calls.
        scope: The connection's scope.
    """
    # Each connection loads this module, and few meet an outage.
    from channels_core.headers import may_add_headers

    try:
        yield
    except Exception as error:
        if failures_are_answered() and may_add_headers(scope) and is_outage(layer, error):
            from channels_core._layers.ongoing_outages import record_failure

            record_failure(layer, error, refuses=True)
            mark_as_answered(error)
            mark_to_refuse(error)
        raise
    if ongoing:
        from channels_core._layers.ongoing_outages import record_success

        record_success(layer)
