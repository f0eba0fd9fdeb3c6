"""The start of a process: imports, a whole asgi.py, the first echo."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.honesty import check_equal

PEERS = ("ours", "upstream", "starlette", "litestar", "limit")

CASE = Case(
    number=9,
    title="Start of a process",
    method="New interpreters, which measure the CPU time from their first line: until the "
    "consumers are imported; until an `asgi.py` with settings, routes and the authentication "
    "stack is; and until its first echo has arrived. Starlette, Litestar: their WebSocket "
    "classes, and an application with one route. The limit: what a hand-written application "
    "needs; for a whole asgi.py, Django itself.",
    rows=(
        Row("consumers", "import the consumers", "process", PEERS),
        Row("asgi", "import a whole asgi.py", "process", PEERS, quick=False),
        Row("first-echo", "start to first echo", "process", PEERS),
    ),
)

SETTINGS = """
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="not a secret",
    ROOT_URLCONF="urls",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        {apps}
    ],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    CHANNEL_LAYERS={{"default": {{"BACKEND": "channels.layers.InMemoryChannelLayer"}}}},
)
from django.core.asgi import get_asgi_application
django_application = get_asgi_application()
"""
CHANNELS = """
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)

application = ProtocolTypeRouter({
    "http": django_application,
    "websocket": AllowedHostsOriginValidator(
        AuthMiddlewareStack(URLRouter([path("", Echo.as_asgi())]))
    ),
})
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute

class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(data)

application = Starlette(routes=[WebSocketRoute("/", Echo)])
"""
LITESTAR = """
from litestar import Litestar, WebSocket, websocket

@websocket("/")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())

application = Litestar([echo], openapi_config=None)
"""
LIMIT = """
async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": (await receive())["text"]})
"""
ECHO = """
import asyncio
got = []

async def main():
    messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    done = asyncio.get_running_loop().create_future()

    async def receive():
        if len(messages) == 1:
            await done
        return messages.pop(0)

    async def send(message):
        got.append(message.get("text") or message["type"])
        if len(got) == 2:
            report()
            done.set_result(None)

    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "path": "/",
        "raw_path": b"/", "root_path": "", "query_string": b"", "subprotocols": [], "scheme": "ws",
        "headers": [(b"host", b"localhost"), (b"origin", b"http://localhost")],
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8), "state": {},
    }
    await application(scope, receive, send)

asyncio.run(main())
assert got == ["websocket.accept", "hello"], got
"""
CONSUMERS = {
    "ours": "import channels.generic.websocket",
    "upstream": "import channels.generic.websocket",
    "starlette": "import starlette.endpoints",
    "litestar": "from litestar import WebSocket, websocket",
    "limit": "import asyncio",
}
REPORT = """
import time
started = time.process_time()

def report():
    print(time.process_time() - started)
"""


def program(peer: str, row: Row) -> str:
    """Return the program of a new interpreter."""
    if row.name == "consumers":
        return f"{REPORT}\n{CONSUMERS[peer]}\nreport()\n"
    channels = SETTINGS.format(apps='"channels",') + CHANNELS
    asgi = {
        "ours": channels,
        "upstream": channels,
        "starlette": STARLETTE,
        "litestar": LITESTAR,
        "limit": SETTINGS.format(apps="") + LIMIT,
    }[peer]
    return f"{REPORT}\n{asgi}\n{'report()' if row.name == 'asgi' else ECHO}\n"


def program_of(peer: str) -> Any:
    """Return the entry of a peer in `PROGRAMS`."""
    return lambda row: program(peer, row)


PROGRAMS = {peer: program_of(peer) for peer in PEERS}


def measure(text: str, row: Row, scale: Scale) -> float:
    """Return the CPU seconds of the cheapest of several new interpreters."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "urls.py").write_text("urlpatterns = []\n", encoding="utf-8")
        # The first one fills the caches of the system.
        for _ in range(scale.repetitions + 1):
            done = subprocess.run(
                [sys.executable, "-c", text],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            check_equal(f"the status of a process that said {done.stderr!r}", 0, done.returncode)
            figures.append(float(done.stdout.split()[-1]))
    return min(figures[1:])
