"""Run an application whose WebSocket was accepted before it."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

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
    """Run an application that finds a handshake to answer as ever.

    Scope:
        `extensions` is left without the denial response, since that comes too late.

    Messages:
        The application receives a `websocket.connect` of its own. Its accept is not sent, and
        its refusal becomes a close: with its code, else with 4000 more than its status, else
        with 4403.

    Args:
        application: The application.
        scope: A copy of the connection's scope.
        receive: ASGI receive, from which `websocket.connect` was taken.
        send: ASGI send, to which `websocket.accept` was given.
        on_accept: Called with the accept that is not sent.

    Returns:
        What the application returns.

    Raises:
        ConnectionStateError: The application sent a frame before its answer.
        RouteNotFound: It came after the answer. Before that, a path without a route becomes a
            close with 4404.
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
            # The server would pass it on: for it, the handshake is answered.
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
            # Not the body of a refusal that has become a close.
            await send(message)

    try:
        return await application(scope, receive_again, send_accepted)
    except RouteNotFound as error:
        if answer is not None:
            raise
        # Around this, nobody can answer any more: what ProtocolTypeRouter sees is an accept.
        text = " ".join([str(error), *getattr(error, "__notes__", ())])
        logger.warning("websocket %.200r: %.1000s", scope.get("path"), text)
        with contextlib.suppress(OSError):
            await send({"type": "websocket.close", "code": 4404})
        return None


def _close(refusal: Message) -> Message:
    code = refusal.get("code", 4000 + refusal.get("status", 403))
    # What servers let an application close with; before the handshake none is looked at.
    if not is_portable_close_code(code):
        code = 4403
    return {"type": "websocket.close", "code": code, "reason": refusal.get("reason") or ""}
