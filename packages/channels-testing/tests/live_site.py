"""A site to serve live, clients for it, and the databases that it uses."""

import asyncio
import base64
import json
import multiprocessing
import os
import socket
import threading
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

from asgiref.local import Local
from django.conf import settings
from django.db import OperationalError, connections
from django.test import override_settings

from channels_core.db import database_sync_to_async
from channels_core.layers import BaseChannelLayer, get_channel_layer
from channels_core.typing import Receive, Scope, Send
from channels_testing.live import ChannelsLiveServerTestCase

__all__ = [
    "Socket",
    "ask",
    "databases",
    "execute",
    "failure",
    "live_case",
    "passes",
    "process_ended",
    "refused",
    "run",
]

try:
    from daphne.testing import DaphneProcess as BaseProcess
except ImportError:  # Not needed without the extra.
    BaseProcess = object

# A safety net, for a machine under load.
SECONDS = 120


# The site


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer questions about the process that serves."""
    if scope["type"] == "websocket":
        await _echo(scope, receive, send)
        return
    await receive()
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    try:
        answer = await getattr(Answers, scope["path"].strip("/"))(**query)
    except Exception as error:  # noqa: BLE001 - it is the answer
        answer = f"{type(error).__name__}: {error}"
    start = {"type": "http.response.start", "status": 200, "headers": []}
    await send(start)
    await send({"type": "http.response.body", "body": json.dumps(answer, default=str).encode()})


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message["text"]})
    release = released  # A test may set an event of its own.
    if scope["path"] == "/block/":
        blocked.set()
        release.wait(SECONDS)
    while scope["path"] == "/ignore/" and not release.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            ends.append("ignored")
    if scope["path"] == "/stay/":
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise


# How the handlers that stay have ended.
ends: list[str] = []

# Set when the event loop is blocked, and when handlers that wait for it may end.
blocked, released = threading.Event(), threading.Event()


class Layer(BaseChannelLayer):
    """A layer that is configured, and not used."""


class Answers:
    @staticmethod
    async def pid() -> int:
        return os.getpid()

    @staticmethod
    async def setting(name: str) -> Any:
        return getattr(settings, name, "it is not set")

    @staticmethod
    async def layer() -> int:
        layer = get_channel_layer()
        assert isinstance(layer, Layer)
        return layer.capacity

    @staticmethod
    async def environment(name: str) -> Any:
        return os.environ.get(name)

    @staticmethod
    async def database(alias: str) -> Any:
        return connections[alias].settings_dict["NAME"]

    @staticmethod
    async def fork_a_child() -> int:
        """Start a process of the application's own, and return its exit code."""
        child = multiprocessing.get_context("fork").Process(target=os._exit, args=(5,))
        child.start()
        child.join()
        return child.exitcode or 0

    @staticmethod
    async def sql(statement: str, alias: str = "default") -> Any:
        return await database_sync_to_async(execute)(statement, alias)


# Set when a statement has been refused, since a table is locked.
refusals = threading.Event()


def execute(statement: str, alias: str = "default") -> list[Any]:
    """Execute a statement, and return the rows."""

    def note_refusal(execute: Any, *args: Any) -> Any:
        try:
            return execute(*args)
        except OperationalError:
            refusals.set()
            raise

    connections[alias].ensure_connection()
    with connections[alias].execute_wrapper(note_refusal), connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


# Clients


def ask(case: Any, question: str, **query: str) -> Any:
    """Return the body of the site's response."""
    with urlopen(
        f"{case.live_server_url}/{question}/?{urlencode(query)}", timeout=SECONDS
    ) as answer:
        return json.load(answer)


class Socket:
    """A minimal WebSocket client."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "ws"
        address = (parts.hostname or "", parts.port or 0)
        self._socket = socket.create_connection(address, timeout=SECONDS)
        self._file = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        self._socket.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def send(self, text: str) -> None:
        """Send a short text, with a mask of zeros."""
        data = text.encode()
        self._socket.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)

    def receive(self) -> str:
        """Return a short text."""
        first, length = self._file.read(2)
        assert first == 0x81, first
        return self._file.read(length).decode()

    def rest(self) -> bytes:
        """Return all bytes that arrive until the connection is closed."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self._socket.close()


def refused(url: str) -> bool:
    """Return whether nothing listens at the address of a URL."""
    parts = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) != 0


def process_ended(pid: int) -> bool:
    """Return whether a child process of this one has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# Running the tests of a project


@contextmanager
def databases(**names: str | Path) -> Iterator[None]:
    """Configure these SQLite databases by alias, and no others.

    Each has a table `note`.
    """
    configured = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(name)}
        for alias, name in names.items()
    }
    handler: Any = connections  # whose private parts are changed
    before = handler.settings, handler._connections
    handler.settings = handler.configure_settings(deepcopy(configured))
    handler._connections = Local(handler.thread_critical)
    try:
        for alias in names:
            execute("CREATE TABLE note (text TEXT)", alias)
            connections[alias].close()
        yield
    finally:
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                connection.connection.close()
        handler.settings, handler._connections = before


def run(*cases: type[unittest.TestCase]) -> unittest.TestResult:
    """Run test classes as Django's runner does."""
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    result = unittest.TestResult()
    unittest.TestSuite(map(load, cases)).run(result)
    return result


def passes(*cases: type[unittest.TestCase]) -> None:
    """Run test classes that have one test each, and expect them to pass."""
    result = run(*cases)
    assert not result.errors + result.failures, "\n".join(
        text for _, text in result.errors + result.failures
    )
    assert result.testsRun == len(cases)


def failure(case: type[unittest.TestCase]) -> str:
    """Run a class that fails before its test, and return the traceback."""
    result = run(case)
    assert result.testsRun == 0
    ((_, text),) = result.errors
    return text


class Own(BaseProcess):  # type: ignore[misc] # Daphne is untyped
    """A process class of a program, which does not accept a port."""

    def __init__(self, host: str, get_application: Any, setup: Any) -> None:
        super().__init__(host, get_application, setup=setup)

    def run(self) -> None:
        os.environ["LIVE_OWN"] = "own"
        super().run()


class Broken(Own):
    """A process that fails before it serves."""

    def run(self) -> None:
        raise RuntimeError("broken in the process")


def live_case(application: str = "live_site.application", **members: Any) -> Any:
    """Return a test class with a live server, with the given attributes and tests."""
    members = {"test": lambda self: None, **members}
    case = type("Case", (ChannelsLiveServerTestCase,), members)
    return override_settings(ASGI_APPLICATION=application)(case)
