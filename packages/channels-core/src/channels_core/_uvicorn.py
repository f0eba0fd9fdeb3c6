"""What Channels knows of Uvicorn: how it refuses a handshake, and what waits for a client.

Its `send` is a method of its object for the connection, and waits while more than 64 KiB wait in
the transport. `Outgoing` reads how much that is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, Self

from channels_core._messages import FIRST_OF_REFUSAL, LAST_OF_REFUSAL
from channels_core.typing import Message, Send

__all__ = ["Outgoing", "in_one_step", "let_server_close"]

#: Bytes that may wait before `send` waits, in asyncio's transports.
_HIGH_WATER: Final = 65_536


class Outgoing:
    """What waits in Uvicorn for one client.

    Attributes:
        protocol: The server's object for the connection.
    """

    __slots__ = ("protocol",)

    def __init__(self, protocol: Any) -> None:
        self.protocol: Any = protocol

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: a program may copy its scope."""
        return self

    def allow(self, size: int) -> None:
        """Let so many bytes wait before `send` waits, so that the caller decides earlier."""
        if size > _HIGH_WATER:
            self.protocol.transport.set_write_buffer_limits(high=size)

    def waiting(self) -> int:
        """Return the number of bytes that wait."""
        size: int = self.protocol.transport.get_write_buffer_size()
        return size

    def abort(self) -> None:
        """Drop the connection, with what waits."""
        self.protocol.transport.abort()


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
    if last_sent == LAST_OF_REFUSAL:
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
            if message.get("type") != FIRST_OF_REFUSAL:
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
