"""Run an application whose handshake was accepted before the application starts.

A token in the first frame can be read only on an accepted WebSocket. The application still finds
a handshake that it has to answer: it receives a `websocket.connect`, its accept is dropped, and
its refusal becomes a close.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from channels_auth._close_codes import close_code_of
from channels_core.client_log import log_of_client, one_line
from channels_core.close_codes import is_portable_close_code
from channels_core.exceptions import ConnectionStateError, RouteNotFound
from channels_core.typing import Message, Receive, Scope, Send

__all__ = ["run_accepted"]

logger = logging.getLogger("django.channels.auth")

_DENIAL: Final = "websocket.http.response"


async def run_accepted(
    application: Callable[[Scope, Receive, Send], Awaitable[Any]],
    scope: Scope,
    receive: Receive,
    send: Send,
    on_accept: Callable[[Message], None],
) -> Any:
    """Run an application on a WebSocket that is accepted already.

    Scope:
        `extensions` loses the denial response, which is impossible after the accept.

    Messages:
        The application receives its own `websocket.connect`. Its accept is not sent. Its refusal
        becomes a close, with the refusal's code, or 4000 plus its status, or 4403.

    Args:
        application: The application.
        scope: A copy of the connection's scope.
        receive: ASGI receive, without the `websocket.connect`, which was received before.
        send: ASGI send, which has sent `websocket.accept` before.
        on_accept: Called with the accept that is not sent.

    Returns:
        What the application returns.

    Raises:
        ConnectionStateError: The application sent a frame before its answer.
        RouteNotFound: No route was found after the answer. Before the answer, this error becomes
            a close with 4404.
    """
    extensions = scope.get("extensions") or {}
    scope["extensions"] = {name: extensions[name] for name in extensions if name != _DENIAL}
    pending: list[Message] = [{"type": "websocket.connect"}]
    answer: str | None = None

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    async def send_accepted(message: Message) -> None:
        nonlocal answer
        kind = message["type"]
        if answer is None and kind == "websocket.send":
            # For the server the handshake is answered, so it would not refuse the frame itself.
            raise ConnectionStateError(
                "A websocket.send came before the application has accepted the WebSocket; send "
                "websocket.accept first"
            )
        if answer is None:
            answer = kind
            if kind == "websocket.accept":
                on_accept(message)
            else:
                await send(_close(message))
        elif answer != f"{_DENIAL}.start" or kind != f"{_DENIAL}.body":
            # All messages but the body of a refusal, which has become a close.
            await send(message)

    try:
        return await application(scope, receive_again, send_accepted)
    except RouteNotFound as error:
        if answer is not None:
            raise
        # ProtocolTypeRouter cannot answer for the application: it has seen an accept.
        text = " ".join([str(error), *getattr(error, "__notes__", ())])
        line, path = one_line(text), scope.get("path")
        log_of_client(logger, logging.WARNING, scope, "websocket %.200r: %s", path, line)
        with contextlib.suppress(OSError):
            await send({"type": "websocket.close", "code": close_code_of(404)})
        return None


def _close(refusal: Message) -> Message:
    code = refusal.get("code", close_code_of(refusal.get("status", 403)))
    # The application's code may be invalid: before the accept, servers do not look at it.
    if not is_portable_close_code(code):
        code = close_code_of(403)
    return {"type": "websocket.close", "code": code, "reason": refusal.get("reason") or ""}
