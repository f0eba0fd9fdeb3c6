"""A WebSocket that its middleware can close as well as its application.

The session middleware closes a connection whose session was deleted, and the login watch closes
one whose login has ended, while the application goes on. `ClosableWebsocket` wraps the `send` of
the connection, follows its state, and drops what the application sends after such a close.
"""

from __future__ import annotations

import logging
from typing import Final

from channels_core.typing import Message, Scope, Send

__all__ = ["ClosableWebsocket", "WebsocketState"]

logger = logging.getLogger("django.channels.auth")

#: The messages by which an application answers a handshake, or closes.
_ANSWERS: Final = frozenset(
    {"websocket.accept", "websocket.close", "websocket.http.response.start"}
)


class WebsocketState:
    """The state of a connection, as seen from what is sent to the client.

    Not an enum: each process makes this class, and an enum takes ten times as long.
    """

    #: The handshake is not answered yet.
    CONNECTING: Final = "connecting"
    #: The application has accepted the handshake.
    OPEN: Final = "open"
    #: The application, its middleware or the client has closed, or the handshake was refused.
    CLOSED: Final = "closed"


class ClosableWebsocket:
    """Pass on what an application sends, until its middleware closes the connection.

    After that the application goes on until the server reports the end of the connection. What it
    sends meanwhile is dropped: servers treat a frame after a close as an error.

    Attributes:
        state: The state of the connection.
        closed_from_outside: Whether `close` has ended the connection, not the application.
    """

    __slots__ = ("_scope", "_send", "closed_from_outside", "state")

    def __init__(self, scope: Scope, send: Send) -> None:
        """Wrap the `send` of a connection.

        Args:
            scope: The scope of a WebSocket. Its extensions decide how it can be refused.
            send: ASGI send.
        """
        self.state: str = WebsocketState.CONNECTING
        self.closed_from_outside = False
        # None once the handshake is answered: an idle connection need not keep a scope for this.
        self._scope: Scope | None = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a message on, unless the connection was closed from outside.

        Messages:
            What an application sends over a WebSocket.
        """
        if self.lets_through(message):
            await self._send(message)

    def lets_through(self, message: Message) -> bool:
        """Return whether a message is to be sent, and update the state if so."""
        if self.closed_from_outside:
            logger.debug("A %s came after the connection was closed; dropped", message["type"])
            return False
        if self.state is not WebsocketState.OPEN or message["type"] in _ANSWERS:
            self.record(message["type"])
        return True

    def record(self, message_type: str) -> None:
        """Update the state for a message that the application sends."""
        if message_type in _ANSWERS:
            accepts = message_type == "websocket.accept"
            self.state = WebsocketState.OPEN if accepts else WebsocketState.CLOSED
            self._scope = None

    async def close(self, code: int, reason: str = "", status: int = 401) -> None:
        """Close the connection, or refuse its handshake; do nothing if it is closed already.

        Args:
            code: Close code, 1000 or 3000 to 4999.
            reason: Close reason, 123 bytes of UTF-8 at most.
            status: HTTP status for the refusal of a handshake, if the server can send one.
        """
        if self.state is WebsocketState.CLOSED:
            return
        if self.state is WebsocketState.CONNECTING:
            # Loaded with the first handshake that is refused so.
            from channels_auth._challenges import challenge_headers
            from channels_core.refusal import refusal

            scope, self._scope = self._scope, None
            assert scope is not None  # the handshake is not answered
            headers = challenge_headers(scope) if status == 401 else None
            messages = refusal(
                scope, status, headers=headers, body=reason, code=code, reason=reason
            )
        else:
            messages = [{"type": "websocket.close", "code": code, "reason": reason}]
        self.state = WebsocketState.CLOSED
        self.closed_from_outside = True
        try:
            for message in messages:
                await self._send(message)
        except OSError as error:
            # ASGI servers raise it when the client has disconnected.
            logger.debug("The client left before its connection could be closed: %r", error)
