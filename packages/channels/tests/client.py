"""The server's side of a WebSocket, as far as these tests need it."""

from typing import Any

from asgiref.testing import ApplicationCommunicator

__all__ = ["Client"]


class Client:
    """A client of one path of an application."""

    def __init__(self, application: Any, path: str = "/", **scope: Any) -> None:
        defaults = {"type": "websocket", "path": path, "headers": [], "subprotocols": []}
        self.link = ApplicationCommunicator(application, defaults | scope)

    async def connect(self) -> dict[str, Any]:
        """Start the handshake, and return the answer."""
        await self.link.send_input({"type": "websocket.connect"})
        return dict(await self.link.receive_output())

    async def send_text(self, text: str) -> None:
        """Send one text frame."""
        await self.link.send_input({"type": "websocket.receive", "text": text})

    async def receive_text(self) -> str:
        """Return the text of the next frame."""
        return str((await self.link.receive_output())["text"])

    async def leave(self) -> None:
        """Close the connection and wait until the application has ended."""
        await self.link.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.link.wait()
