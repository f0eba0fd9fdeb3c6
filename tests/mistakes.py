"""A small site, with a mistake in it: what its developer sees."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from processes import SECONDS, end, free_port

__all__ = ["Mistaken", "Server"]

FILES: Final = {
    "manage.py": """
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
execute_from_command_line(sys.argv)
""",
    "mysite/__init__.py": "",
    "mysite/settings.py": """
from pathlib import Path

SECRET_KEY = "not a secret"
DEBUG = True
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = [
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "chat",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
STATIC_URL = "static/"
USE_TZ = True
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).parent / "db.sqlite3",
    },
}
""",
    "mysite/urls.py": """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("hello"))]
""",
    "mysite/asgi.py": """
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
views = get_asgi_application()

from chat.routing import routes

application = ProtocolTypeRouter({
    "http": views,
    "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(routes))),
})
""",
    "mysite/wsgi.py": """
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_wsgi_application()
""",
    "chat/__init__.py": "",
    "chat/routing.py": """
from django.urls import path

from chat.consumers import ChatConsumer

routes = [path("ws/chat/", ChatConsumer.as_asgi())]
""",
    "chat/consumers.py": """
from datetime import datetime

from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.contrib.auth.models import User


class ChatConsumer(AsyncJsonWebsocketConsumer):
    groups = ["chat"]

    async def connect(self):
        await self.accept()

    async def receive_json(self, content):
        await self.channel_layer.group_send("chat", {"type": "chat.message", "text": content})

    async def chat_message(self, event):
        await self.send_json(event["text"])
""",
}


class Mistaken:
    """The site, in a folder.

    Args:
        folder: The folder.
        changes: By module, such as `settings`: texts, each with what replaces it.
    """

    def __init__(self, folder: Path, **changes: list[tuple[str, str]]) -> None:
        self.folder = folder
        texts = dict(FILES)
        for module, pairs in changes.items():
            [name] = [name for name in texts if Path(name).stem == module]
            for old, new in pairs:
                assert old in texts[name], f"{name} has no {old!r}"
                texts[name] = texts[name].replace(old, new)
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.lstrip())

    def env(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
        return inherited | {"PYTHONUNBUFFERED": "1"}

    def run(self, *command: str, module: bool = False) -> str:
        """Run `manage.py` or a module to its end, and return what it prints."""
        done = subprocess.run(
            [sys.executable, *(["-m"] if module else ["manage.py"]), *command],
            cwd=self.folder,
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.stdout

    def serve(self, *command: str) -> "Server":
        """Return the site's development server, or another server."""
        return Server(self, command)


class Server:
    """A context in which a server runs; `output` has what it has printed."""

    def __init__(self, site: Mistaken, command: tuple[str, ...]) -> None:
        self.site = site
        self.port = free_port()
        self.command = [
            part.format(port=self.port)
            for part in command or ("manage.py", "runserver", "--noreload", "{port}")
        ]
        self.output = ""
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            cwd=self.site.folder,
            env=self.site.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.wait_until_it_listens()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        end(self.process)
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._changed:
                    self.output += line
                    self._changed.notify_all()
        self.process.wait()
        with self._changed:
            self._changed.notify_all()

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(self.output)

    def wait_for(self, text: str) -> None:
        """Return when the output has the text."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: text in self.output or self.process.poll() is not None, SECONDS
            )
        assert found, self.output
        assert text in self.output, self.output

    def visit(
        self,
        *messages: str,
        path: str = "/ws/chat/",
        origin: str | None = "",
        answers: int = 0,
        between: Callable[[], object] = lambda: None,
        **given: Any,
    ) -> list[str]:
        """Connect, send messages, and return what a client sees.

        Args:
            messages: The frames to send. `between` is called when the first answer has come.
            path: The path of the consumer.
            origin: The origin of the page; the site's own for an empty one, no header for None.
            answers: The number of frames to wait for.
            between: A function to call in between.
            given: Further arguments for the client.
        """
        page = f"http://127.0.0.1:{self.port}" if origin == "" else origin
        address = f"ws://127.0.0.1:{self.port}{path}"
        seen = []
        # An origin is a plain str.
        given = {"origin": page, "open_timeout": SECONDS} | given
        try:
            with connect(address, **given) as socket:
                for message in messages:
                    socket.send(message)
                for number in range(answers):
                    seen.append(str(socket.recv(SECONDS)))
                    if number == 0:
                        between()
        except InvalidStatus as error:
            seen.append(f"status {error.response.status_code}")
        except (InvalidMessage, TimeoutError):
            seen.append("no answer")
        except ConnectionClosed as error:
            seen.append(f"code {error.rcvd.code if error.rcvd else 1006}")
        return seen
