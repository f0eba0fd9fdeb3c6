"""The client's and the server's side of one request."""

import asyncio
from collections.abc import Iterator
from types import new_class
from typing import Any, ClassVar

from channels_core.applications import as_asgi3
from channels_core.layers import BaseChannelLayer
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Scope
from channels_http.generic.http import AsyncHttpConsumer
from channels_http.generic.sse import SseOptions

__all__ = ["Client", "LocalLayer", "Recorder", "ask", "made", "recording", "turns", "until"]

_OPTIONS = SseOptions.__annotations__  # those of other consumers too

# A net, for a machine under load.
SECONDS = 30


async def turns(count: int = 20) -> None:
    """Let all that can run do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Any, changed: asyncio.Event) -> None:
    """Wait until a condition holds, looking at it whenever something has changed."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            changed.clear()
            await changed.wait()


class Client:
    """Drive an application with one request, and keep what it sends.

    It is stricter than most servers: a second call of `receive` before the first one has returned
    is an error. A test that has led to one fails, whoever catches the error: see `conftest.py`.

    Attributes:
        overlaps: The scopes of the requests for which `receive` was called twice at once.
        asked: How often `receive` was called.
        asks: Whether a call of `receive` waits.
        sent: What the application has sent.
        fault: What `send` raises; None for nothing.
    """

    overlaps: ClassVar[list[Scope]] = []

    def __init__(
        self, application: Any, method: str = "GET", *, bare: bool = False, **scope: Any
    ) -> None:
        """Serve it behind the outermost router, unless it is to be `bare` as in many tests."""
        bare = bare or scope.get("type", "http") != "http"
        served = application if bare else ProtocolTypeRouter({"http": application})
        defaults = {"path": "/a/", "query_string": b"", "headers": []}
        self.scope: Scope = {"type": "http", "method": method, **defaults, **scope}
        self.inbox: asyncio.Queue[Message | BaseException] = asyncio.Queue()
        self.asked = 0
        self.asks = False
        self.sent: list[Message] = []
        self.fault: Exception | None = None
        self.changed = asyncio.Event()
        self.task = asyncio.ensure_future(as_asgi3(served)(self.scope, self._receive, self._send))
        self.task.add_done_callback(lambda _: self.changed.set())

    async def _receive(self) -> Message:
        if self.asks:
            self.overlaps.append(self.scope)
            raise RuntimeError("receive() was called while an earlier call waits")
        self.asked += 1
        self.asks = True
        self.changed.set()
        try:
            message = await self.inbox.get()
        finally:
            self.asks = False
            self.changed.set()
        if isinstance(message, BaseException):
            raise message
        return message

    async def _send(self, message: Message) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append(message)
        self.changed.set()

    def request(self, *parts: bytes, more: bool = False) -> None:
        """Send a request's body in parts; with `more`, not to its end."""
        for number, part in enumerate(parts or (b"",), 1):
            last = number == len(parts or (b"",)) and not more
            self.inbox.put_nowait({"type": "http.request", "body": part, "more_body": not last})

    def leave(self) -> None:
        """Close the connection."""
        self.inbox.put_nowait({"type": "http.disconnect"})

    def fail(self, error: BaseException) -> None:
        """Have `receive` raise an exception after all that was sent before."""
        self.inbox.put_nowait(error)

    async def messages(self, count: int) -> list[Message]:
        """Return so many messages once they are there; fewer if the application ends before."""
        await until(lambda: len(self.sent) >= count or self.task.done(), self.changed)
        return self.sent[:count]

    async def end(self) -> None:
        """Wait for the application to end."""
        await asyncio.wait_for(asyncio.shield(self.task), SECONDS)

    async def whole(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Wait for the application to end, and return status, headers and body."""
        await self.end()
        start, *bodies = self.sent
        assert start["type"] == "http.response.start"
        assert [body.get("more_body", False) for body in bodies] == [True] * (len(bodies) - 1) + [
            False
        ]
        return start["status"], dict(start["headers"]), b"".join(each["body"] for each in bodies)


class LocalLayer(BaseChannelLayer):
    """A layer in the test's own event loop."""

    extensions = ["groups"]

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, set[str]] = {}
        self.queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._numbers: Iterator[int] = iter(range(1000))

    async def new_channel(self, prefix: str = "specific.") -> str:
        name = f"{prefix}{next(self._numbers)}"
        self.queues[name] = asyncio.Queue()
        return name

    async def send(self, channel: str, message: Message) -> None:
        self.queues[channel].put_nowait(dict(message))

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.queues[channel].get()

    async def group_add(self, group: str, channel: str) -> None:
        self.groups.setdefault(group, set()).add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: Message) -> None:
        for channel in self.groups.get(group, ()):
            await self.send(channel, message)


class Recorder(AsyncHttpConsumer):
    """Counts how often it was told of the end."""

    ends: list[str]

    async def disconnect(self) -> None:
        self.ends.append("end")


def recording(handle: Any, **members: Any) -> Any:
    """Return a consumer class with this `handle`, and a list of its own of ends."""
    return made(Recorder, {"handle": handle, "ends": [], **members})


def made(base: type, members: dict[str, Any]) -> Any:
    """Return a consumer class with these members and options."""
    options = {name: members.pop(name) for name in _OPTIONS if name in members}
    return new_class("Program", (base,), options, lambda own: own.update(members))


async def ask(
    application: Any, *parts: bytes, **kwargs: Any
) -> tuple[int, dict[bytes, bytes], bytes]:
    client = Client(application, **kwargs)
    client.request(*parts)
    return await client.whole()
