"""What Channels knows of Uvicorn: how it handles an HTTP response that refuses a handshake."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from channels_core.typing import Message, Send

__all__ = ["in_one_step", "let_server_close"]

_START: Final = "websocket.http.response.start"
_BODY: Final = "websocket.http.response.body"


async def let_server_close(last_sent: str | None) -> None:
    """Wait until the server has closed the connection, if its handshake was refused.

    Uvicorn's default implementation, `websockets-sansio`, closes it in the next step of the event
    loop. If the application returns earlier, Uvicorn believes that the handshake was not answered,
    and logs an error. Under TLS closing takes longer, so the error is logged nevertheless.

    Args:
        last_sent: The type of the last message that was sent.

    Source: `uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol.run_asgi`,
    Uvicorn 0.54.
    """
    if last_sent == _BODY:
        await asyncio.sleep(0)


def in_one_step(send: Send) -> Send:
    """Return a `send` that passes on the two messages of a refusal in one step of the event loop.

    Uvicorn's older implementation, `websockets`, answers soon after the first message, with the
    part of the body that it has by then. The messages of a thread would come one by one.

    Source: `uvicorn.protocols.websockets.websockets_impl.WebSocketProtocol`, Uvicorn 0.54.
    """
    start: Message | None = None

    def sending(message: Message) -> Awaitable[None]:
        nonlocal start
        if start is None:
            if message.get("type") != _START:
                return send(message)
            start = message
            return _refuse(send)
        first, start = start, None
        return _refuse(send, first, message)

    return sending


async def _refuse(send: Send, *messages: Message) -> None:
    for message in messages:
        await send(message)
    if messages:
        await let_server_close(messages[-1].get("type"))
