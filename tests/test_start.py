"""What a new process loads until its first message: nothing that only some connections use."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import channels_core

CONSUMERS = "import channels.generic.websocket"
ASGI = """
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="not a secret",
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "channels",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
from django.core.asgi import get_asgi_application

get_asgi_application()
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)

routes = URLRouter([path("", Echo.as_asgi())])
application = ProtocolTypeRouter(
    {"websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(routes))}
)
"""
FIRST_ECHO = f"""{ASGI}
import asyncio

messages = [
    {{"type": "websocket.connect"}},
    {{"type": "websocket.receive", "text": "hello"}},
    {{"type": "websocket.disconnect", "code": 1000}},
]
sent = []

async def receive():
    return messages.pop(0) if messages else await asyncio.Future()

async def send(message):
    sent.append(message["type"])

scope = {{
    "type": "websocket", "asgi": {{"version": "3.0"}}, "path": "/", "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"origin", b"http://localhost")], "subprotocols": [],
}}
asyncio.run(application(scope, receive, send))
assert sent == ["websocket.accept", "websocket.send"], sent
"""
#: Loaded by the first connection: other processes than servers import the application, too.
SERVING = {
    "channels_auth._closable_websocket",
    "channels_auth._sessions.engine",
    "channels_auth._sessions.handshake_headers",
    "channels_core._asgiref",
    "channels_core._bell",
    "channels_core._cancellation",
    "channels_core._connection.groups",
    "channels_core._connection.mailbox",
    "channels_core._layers.names",
    "channels_core._layers.outages",
    "channels_core._database_usage",
    "channels_core._logging",
    "channels_core._routing.outermost",
    "channels_core._server",
    "channels_core._shutdown.draining",
    "channels_core._shutdown.open_connections",
    "channels_core.connection",
    "channels_core.generic._websocket.connection",
    "channels_core.layers",
    "channels_layers_memory.layer",
    "django.contrib.sessions.backends.base",
    "django.contrib.sessions.backends.db",
}
#: Loaded by what uses them.
ON_USE = {
    "asgiref.compatibility",
    "asgiref.typing",
    "channels_auth._async_backends",
    "channels_auth._auth.request",
    "channels_auth._challenges",
    "channels_auth._checks.application",
    "channels_auth._close_codes",
    "channels_auth._cookies.parsing",
    "channels_auth._disconnection.announcements",
    "channels_auth._disconnection.login_watch",
    "channels_auth._ended_sessions",
    "channels_auth._sessions.response_headers",
    "channels_auth.guards",
    "channels_auth.login_tokens",
    "channels_auth.tokens",
    "channels_core._checks.application",
    "channels_core._connection.threads",
    "channels_core._bell",
    "channels_core._daphne",
    "channels_core._departures",
    "channels_core._failure_log",
    "channels_core._large_json",
    "channels_core._layers.channels_redis",
    "channels_core._layers.memberships",
    "channels_core._pool",
    "channels_core._remedies",
    "channels_core._routing.client_errors",
    "channels_core._shutdown.loop_signals",
    "channels_core._typed_dicts",
    "channels_core._uvicorn",
    "channels_core.abort",
    "channels_core.backoff",
    "channels_core.client_log",
    "channels_core.close_codes",
    "channels_core.db",
    "channels_core.documentation",
    "channels_core.headers",
    "channels_core.layer_extensions",
    "channels_core.refusal",
    "channels_core.security._own_origin",
    "channels_core.worker",
    "channels_http._misdirected_websockets",
    "channels_http.generic.http",
    "channels_http.handlers",
    "channels_layers_memory._layer.alarm",
    "channels_layers_memory._layer.backpressure",
    "channels_layers_memory._layer.channels_view",
    "channels_layers_memory._layer.history",
    "channels_layers_memory._layer.limits_by_name",
    "channels_layers_memory._layer.members",
    "channels_layers_memory._layer.packing_errors",
    "channels_layers_memory._layer.queues",
    "channels_layers_memory._layer.timetable",
    "channels_testing",
    "django.contrib.sessions.backends.cache",
    "django.contrib.sessions.backends.cached_db",
    "django.contrib.sessions.backends.signed_cookies",
    "msgpack",
    "twisted",
}


@pytest.mark.parametrize(
    ("program", "absent"),
    [(CONSUMERS, ON_USE | SERVING), (ASGI, ON_USE | SERVING), (FIRST_ECHO, ON_USE)],
    ids=["consumers", "a whole asgi.py", "first echo"],
)
def test_a_new_process_loads_only_what_its_connections_use(program: str, absent: set[str]) -> None:
    asked = f"{program}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert absent & {*done.stdout.split()} == set()


def test_the_core_evaluates_no_annotations() -> None:
    # Those of a TypedDict are evaluated, or it would not see `NotRequired`.
    folder = Path(channels_core.__file__).parent
    modules = [path for path in folder.rglob("*.py") if path.name != "_typed_dicts.py"]
    assert [path.name for path in modules if _evaluates_annotations(path)] == []


def _evaluates_annotations(module: Path) -> bool:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    annotated = (ast.FunctionDef, ast.AsyncFunctionDef, ast.AnnAssign)
    return any(isinstance(node, annotated) for node in ast.walk(tree)) and not any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
