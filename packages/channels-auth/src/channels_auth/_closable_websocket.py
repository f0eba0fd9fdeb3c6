"""The way out of a WebSocket, which others than its application may close as well."""

import enum
import logging
from typing import Final

from channels_auth._challenges import challenge_headers
from channels_core.refusal import refusal
from channels_core.typing import Message, Scope, Send

__all__ = ["ClosableWebsocket", "WebsocketState"]

logger = logging.getLogger("django.channels.auth")

_ANSWERS: Final = frozenset(
    {"websocket.accept", "websocket.close", "websocket.http.response.start"}
)


class WebsocketState(enum.Enum):
    """The stations of a connection, as far as the way out goes."""

    CONNECTING = "connecting"
    OPEN = "open"
    #: The application refused or closed, or we did.
    CLOSED = "closed"


class ClosableWebsocket:
    """Pass on what an application sends, until it is closed from outside.

    Afterwards the application goes on until the server tells it that the connection has ended;
    what it sends meanwhile is dropped, since servers take a frame after a close for an error.

    Attributes:
        state: Where the connection stands.
        closed_from_outside: Whether `close` has ended it.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        """Stand in the way of a connection.

        Args:
            scope: The scope of a WebSocket; its extensions tell how it can be refused.
            send: ASGI send.
        """
        self.state = WebsocketState.CONNECTING
        self.closed_from_outside = False
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message on, unless the gate was closed from outside.

        Messages:
            What an application sends over a WebSocket.
        """
        if self.closed_from_outside:
            logger.debug("A %s came after the connection was closed; dropped", message["type"])
            return
        self.note(message["type"])
        await self._send(message)

    def note(self, message_type: str) -> None:
        """Take note of what the application sends."""
        if message_type in _ANSWERS:
            accepts = message_type == "websocket.accept"
            self.state = WebsocketState.OPEN if accepts else WebsocketState.CLOSED

    async def close(self, code: int, reason: str = "", status: int = 401) -> None:
        """Close the connection, or refuse its handshake; nothing if it is closed already.

        Args:
            code: Close code, 1000 or 3000 to 4999.
            reason: Close reason, 123 bytes of UTF-8 at most.
            status: HTTP status that refuses a handshake, where the server offers that.
        """
        if self.state is WebsocketState.CLOSED:
            return
        if self.state is WebsocketState.CONNECTING:
            headers = challenge_headers(self._scope) if status == 401 else None
            messages = refusal(
                self._scope, status, headers=headers, body=reason, code=code, reason=reason
            )
        else:
            messages = [{"type": "websocket.close", "code": code, "reason": reason}]
        self.state = WebsocketState.CLOSED
        self.closed_from_outside = True
        try:
            for message in messages:
                await self._send(message)
        except OSError as error:
            # ASGI, WebSocket: this is how a server tells it.
            logger.debug("The client left before its connection could be closed: %r", error)
