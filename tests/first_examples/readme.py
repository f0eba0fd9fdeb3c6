"""The code of a README, run as a program's; for the scripts beside this module.

The scripts run in an environment that has only what the README's first install line installs.
"""

import asyncio
import re
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import django
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

__all__ = ["LIMIT", "Socket", "blocks", "configure", "run", "scope", "wait_for"]

#: A safety net, in seconds.
LIMIT = 20


def blocks() -> list[str]:
    """Return the Python blocks of the README in the first argument."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(code: str) -> dict[str, Any]:
    """Run a block and return its names."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, sys.argv[1], "exec"), names)
    return names


def configure(**own: Any) -> None:
    """Set Django up as a small site."""
    settings.configure(SECRET_KEY="not secret", ALLOWED_HOSTS=["site.example"], **own)
    django.setup()


def scope(kind: str, path: str, **own: Any) -> dict[str, Any]:
    """Return the scope of a connection from a page of the site."""
    headers = [(b"host", b"site.example"), (b"origin", b"https://site.example")]
    headers += own.pop("headers", [])
    shared = {"type": kind, "path": path, "raw_path": path.encode(), "query_string": b""}
    return {**shared, "headers": headers, "client": ("127.0.0.1", 50000), **own}


class Socket:
    """A browser's side of a WebSocket of the example."""

    def __init__(self, application: Any, path: str, **own: Any) -> None:
        own = {"subprotocols": [], **own}
        self._link = ApplicationCommunicator(application, scope("websocket", path, **own))

    async def open(self) -> None:
        """Connect, and expect to be accepted."""
        await self._link.send_input({"type": "websocket.connect"})
        answer = await self._link.receive_output(timeout=LIMIT)
        assert answer["type"] == "websocket.accept", answer

    async def send(self, text: str) -> None:
        """Send a frame."""
        await self._link.send_input({"type": "websocket.receive", "text": text})

    async def receive(self) -> str:
        """Return the text of the next frame."""
        answer = await self._link.receive_output(timeout=LIMIT)
        assert answer["type"] == "websocket.send", answer
        return str(answer["text"])

    async def close(self) -> None:
        """Leave, and wait until the consumer has ended."""
        await self._link.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._link.wait(timeout=LIMIT)


def wait_for(work: Coroutine[Any, Any, None]) -> None:
    """Run the visit of an example."""
    asyncio.run(asyncio.wait_for(work, LIMIT))
