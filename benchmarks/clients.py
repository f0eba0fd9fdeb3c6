"""Drive ASGI applications in this process, without a server.

A client does as little as possible, and the same for every peer.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from benchmarks.honesty import DishonestError, check_equal

__all__ = ["HTTP_SCOPE", "WEBSOCKET_SCOPE", "Client", "request"]

Headers = list[tuple[bytes, bytes]]

WEBSOCKET_SCOPE: Final[dict[str, Any]] = {
    "type": "websocket",
    # As Uvicorn has it.
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "scheme": "ws",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"origin", b"http://localhost")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
    "subprotocols": [],
    "extensions": {"websocket.http.response": {}},
}
HTTP_SCOPE: Final[dict[str, Any]] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"accept", b"*/*")],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
}
#: A safety net: seconds for what should happen at once.
PATIENCE: Final = 300


class Client:
    """One WebSocket connection in this process.

    Attributes:
        sent: What the application has sent, `websocket.accept` included.
    """

    def __init__(self, application: Any, path: str = "/", headers: Iterable[Any] = ()) -> None:
        """Connect: the application runs in its own task, as with servers."""
        self.sent: list[dict[str, Any]] = []
        self._inbox: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self._reader: asyncio.Future[None] | None = None
        self._wanted = 1
        self._arrived: asyncio.Future[None] | None = None
        scope = {
            **WEBSOCKET_SCOPE,
            "path": path,
            "raw_path": path.encode(),
            "headers": [*WEBSOCKET_SCOPE["headers"], *headers],
            "state": {},
        }
        loop = asyncio.get_running_loop()
        self._future = loop.create_future
        self.task = loop.create_task(application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        while not self._inbox:
            self._reader = self._future()
            await self._reader
        return self._inbox.popleft()

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if self._arrived is not None and len(self.sent) >= self._wanted:
            self._arrived.set_result(None)
            self._arrived = None

    def feed(self, *messages: dict[str, Any]) -> None:
        """Let the application receive these messages."""
        self._inbox.extend(messages)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def until(self, count: int) -> None:
        """Wait until the application has sent so many messages."""
        if len(self.sent) < count:
            self._wanted = count
            self._arrived = self._future()
            await self._arrived

    async def accepted(self) -> None:
        """Wait until the application has accepted the connection.

        Raises:
            DishonestError: It did something else.
        """
        arrived = asyncio.ensure_future(self.until(1))
        try:
            await asyncio.wait(
                {arrived, self.task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            # `clock.run` ends the wait for what was lost.
            raise DishonestError("the handshake was not answered") from None
        finally:
            arrived.cancel()
        if not self.sent:
            if self.task.done():
                self.task.result()
            raise DishonestError("the handshake was not answered")
        check_equal("the answer to the handshake", "websocket.accept", self.sent[0]["type"])

    async def leave(self) -> None:
        """Disconnect, and wait until the application has ended.

        Raises:
            DishonestError: It does not.
        """
        self.feed({"type": "websocket.disconnect", "code": 1000, "reason": ""})
        try:
            await asyncio.wait_for(self.task, PATIENCE)
        except (TimeoutError, asyncio.CancelledError):
            raise DishonestError("a connection did not end when its client had left") from None

    def texts(self) -> list[Any]:
        """Return the content of the frames that arrived."""
        return [
            message["text"] if message.get("text") is not None else message.get("bytes")
            for message in self.sent
            if message["type"] == "websocket.send"
        ]


async def request(application: Any, send: Any, path: str = "/") -> None:
    """Make one HTTP request in a new task, as servers do, with a client that stays connected."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()

    scope = {**HTTP_SCOPE, "path": path, "raw_path": path.encode(), "state": {}}
    await asyncio.create_task(application(scope, receive, send))
