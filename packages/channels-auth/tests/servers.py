"""A test's stand-in for the server of a connection."""

import asyncio
from typing import Any

from asgiref.testing import ApplicationCommunicator

from channels_core.typing import Message, Scope

__all__ = ["DENIAL", "Server", "cookies_of", "http", "websocket"]

DENIAL: dict[str, Any] = {"websocket.http.response": {}}

# A safety net, for a loaded machine.
SECONDS = 30


def _with_cookies(kind: str, cookies: dict[str, str], extra: dict[str, Any]) -> Scope:
    line = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode("latin-1")
    headers = [(b"cookie", line)] if cookies else []
    return {"type": kind, "path": "/a/", "query_string": b"", "headers": headers, **extra}


def http(cookies: dict[str, str] | None = None, **extra: Any) -> Scope:
    """Return the scope of a request with cookies."""
    return _with_cookies("http", cookies or {}, {"method": "GET", **extra})


def websocket(cookies: dict[str, str] | None = None, **extra: Any) -> Scope:
    """Return the scope of a WebSocket with cookies."""
    return _with_cookies("websocket", cookies or {}, extra)


def cookies_of(message: Message) -> dict[str, str]:
    """Return the `set-cookie` headers of a message, by the cookie's name."""
    lines = [
        value.decode()
        for name, value in message.get("headers", ())
        if name.lower() == b"set-cookie"
    ]
    return {line.partition("=")[0]: line for line in lines}


class Server:
    """Run an application, and keep its messages."""

    def __init__(self, application: Any, scope: Scope) -> None:
        self.client = ApplicationCommunicator(application, scope)
        self.scope = scope

    async def request(self) -> Message:
        """Send a request, and return the start of the response once the application has ended."""
        await self.client.send_input({"type": "http.request", "body": b""})
        await self.client.wait(SECONDS)
        start: Message = self.client.output_queue.get_nowait()
        return start

    async def connect(self) -> Message:
        """Open a WebSocket, and return the answer."""
        await self.client.send_input({"type": "websocket.connect"})
        return await self.receive()

    async def receive(self) -> Message:
        """Return the next message of the application."""
        message: Message = await self.client.receive_output(SECONDS)
        return message

    async def text(self, text: str) -> None:
        """Send a text frame."""
        await self.client.send_input({"type": "websocket.receive", "text": text})

    async def ask(self, text: str) -> str:
        """Send a text frame, and return the text of the answer."""
        await self.text(text)
        return str((await self.receive())["text"])

    async def leave(self, code: int = 1000) -> None:
        """Let the client leave, and wait for the application to end."""
        await self.client.send_input({"type": "websocket.disconnect", "code": code})
        await self.end()

    async def end(self) -> None:
        """Wait for the application to end."""
        await self.client.wait(SECONDS)

    async def nothing(self) -> bool:
        """Return whether every message of the application was received."""
        await asyncio.sleep(0)
        return bool(self.client.output_queue.empty())
