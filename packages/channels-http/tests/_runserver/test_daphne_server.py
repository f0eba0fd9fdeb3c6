import asyncio
import signal
import socket
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from channels_http._runserver.daphne_server import make_server
from project import Project


class Waiting:
    """Stands in for Twisted's `Deferred`."""

    def __init__(self, future: Any) -> None:
        self.future = future

    @classmethod
    def fromFuture(cls, future: Any) -> "Waiting":  # noqa: N802 - Twisted calls it so
        return cls(future)


class DaphnesServer:
    """Does what Daphne's does with its applications."""

    application_close_timeout = 30.0
    ready_callable: Any = None

    def run(self) -> None:
        """Take warnings away, as Twisted does."""
        warnings.showwarning = print  # type: ignore[assignment] # any function will do
        self.ready_callable()

    def __init__(self, *connections: dict[str, Any]) -> None:
        self.connections = dict(enumerate(connections))

    def kill_all_applications(self) -> Waiting:
        applications = [details["application_instance"] for details in self.connections.values()]
        for application in applications:
            application.cancel()
        return Waiting(asyncio.gather(*applications, return_exceptions=True))


Server: Any = make_server(DaphnesServer)


@pytest.mark.parametrize("ready", [None, list])
def test_warnings_are_shown_as_before(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = warnings.showwarning
    monkeypatch.setattr(warnings, "showwarning", before)
    server = Server()
    server.ready_callable = ready
    server.run()
    assert warnings.showwarning is before


class Application:
    """Takes its time to clean up."""

    def __init__(self) -> None:
        self.is_clean = False
        self.may_end = asyncio.Event()
        self.is_cancelled = asyncio.Event()
        self.task = asyncio.ensure_future(self.run())

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.is_cancelled.set()
            await self.may_end.wait()
            self.is_clean = True


async def started(count: int) -> list[Application]:
    applications = [Application() for _ in range(count)]
    await asyncio.sleep(0)
    return applications


async def test_all_are_cancelled_and_waited_for() -> None:
    first, second = await started(2)
    over = asyncio.ensure_future(asyncio.sleep(0))
    await over
    connections = [
        {"connected": 1.0, "disconnected": 2.0},
        {"application_instance": first.task},
        {"application_instance": over},
        {"application_instance": second.task},
        {"connected": 3.0},
    ]
    server = Server(*connections)
    waiting = server.kill_all_applications()
    # Its own methods go on to look their connections up.
    assert list(server.connections.values()) == connections
    await first.is_cancelled.wait()
    first.may_end.set()
    await asyncio.wait([first.task])
    assert not waiting.future.done()
    await second.is_cancelled.wait()
    second.may_end.set()
    await waiting.future
    assert second.is_clean


async def test_one_that_does_not_end_is_left_alone_after_a_while() -> None:
    [one] = await started(1)
    server = Server({"application_instance": one.task})
    server.application_close_timeout = 0.0
    _, pending = await server.kill_all_applications().future
    assert pending == {one.task}
    one.may_end.set()
    await asyncio.wait(pending)


async def test_none() -> None:
    server = Server({"connected": 1.0})
    assert await server.kill_all_applications().future == []


@pytest.mark.daphne
def test_daphnes_own_is_the_base() -> None:
    from daphne.server import Server as DaphnesOwn

    assert issubclass(make_server(DaphnesOwn), DaphnesOwn)


#: Consumers that take their time to clean up.
HELD = """
import asyncio
from django.urls import path
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_http.generic.http import AsyncHttpConsumer

class Held(AsyncHttpConsumer):
    async def handle(self, body):
        await self.send_headers(flush=True)
        print("held: begin", flush=True)
        await asyncio.Event().wait()

    async def disconnect(self):
        await asyncio.sleep(0.1)
        print("held: end", flush=True)

class Socket(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        print("socket: begin", flush=True)

    async def disconnect(self, code):
        await asyncio.sleep(0.2)
        print("socket: end", flush=True)

application = ProtocolTypeRouter({
    "http": URLRouter([path("held/", Held.as_asgi())]),
    "websocket": URLRouter([path("socket/", Socket.as_asgi())]),
})
"""


def ask(address: str, path: str, *headers: str) -> socket.socket:
    """Begin a request, and leave the rest to the caller."""
    parts = urlsplit(address)
    client = socket.create_connection((parts.hostname, parts.port))
    lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
    client.sendall("\r\n".join(lines).encode())
    return client


@pytest.mark.daphne
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_the_consumers_when_it_stops(number: int, tmp_path: Path) -> None:
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    with Project(tmp_path, "--noreload", "0", asgi=HELD) as project, ExitStack() as clients:
        address = project.wait_for(r"Starting ASGI/Channels version \S+ .* at (http://\S+)")
        # The body of the first does not come.
        clients.enter_context(ask(address, "/half/", "Content-Length: 5"))
        clients.enter_context(ask(address, "/held/"))
        project.wait_for("held: begin")
        clients.enter_context(ask(address, "/socket/", *upgrade))
        project.wait_for("socket: begin")
        rest = project.end(number)
    assert "held: end" in rest
    assert "socket: end" in rest
    assert "Traceback" not in rest
