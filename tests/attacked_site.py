"""A site that hostile tests attack on real servers, and that tells how it is."""

import asyncio
import json
import logging
import os
import resource
import time
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

import django
from django.conf import settings

urls = ModuleType("attacked_urls")
settings.configure(
    SECRET_KEY="not a secret: it guards nothing but tests",
    INSTALLED_APPS=[
        "channels",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=urls,
    ALLOWED_HOSTS=["127.0.0.1"],
    LOGIN_URL="/log-in/",
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["ATTACKED_DATABASE"]}
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    USE_TZ=True,
    # As documented for a site without DEBUG.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"all": {"class": "logging.StreamHandler"}},
        "loggers": {"django": {"handlers": ["all"], "level": "INFO", "propagate": False}},
    },
)
django.setup()

from channels.auth import (  # noqa: E402 (after the settings)
    AuthMiddlewareStack,
    FirstMessageToken,
    HeaderToken,
    QueryToken,
    SubprotocolToken,
    TokenAuthMiddleware,
    login_required,
)
from channels.generic.http import AsyncHttpConsumer  # noqa: E402 (the same)
from channels.generic.sse import AsyncSseConsumer  # noqa: E402 (the same)
from channels.generic.websocket import (  # noqa: E402 (the same)
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from channels.layers import get_channel_layer  # noqa: E402 (the same)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 (the same)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402 (the same)
from django.contrib.auth.models import User  # noqa: E402 (the same)
from django.core.asgi import get_asgi_application  # noqa: E402 (the same)
from django.core.management import call_command  # noqa: E402 (the same)
from django.http import HttpRequest, HttpResponse  # noqa: E402 (the same)
from django.urls import path, re_path  # noqa: E402 (the same)

__all__ = ["application"]

KIBIBYTE = 1024
logger = logging.getLogger("django.channels.attacked")


class Echo(AsyncJsonWebsocketConsumer, max_message_size=64 * KIBIBYTE):
    """Sends JSON back, and is in a group."""

    groups = ["all"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


class SyncEcho(JsonWebsocketConsumer, max_message_size=64 * KIBIBYTE):
    """The same, in a thread."""

    groups = ["all"]

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)


class Sizes(AsyncWebsocketConsumer, max_message_size=64 * KIBIBYTE):
    """Tells the size of each frame."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(str(len(text_data if text_data is not None else bytes_data or b"")))


class Pour(AsyncWebsocketConsumer):
    """Sends eight messages of 64 KiB to a client that asks for them."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for _ in range(8 if text_data == "8" else 0):
            await self.send(bytes_data=bytes(64 * KIBIBYTE))
        await self.send("poured")


class Versions(AsyncWebsocketConsumer):
    """Chooses a subprotocol, and tells what was offered."""

    async def connect(self) -> None:
        offered = self.scope["subprotocols"]
        chosen = next((one for one in ("v2", "v1") if one in offered), None)
        await self.accept(subprotocol=chosen)
        await self.send(json.dumps(offered))


class Parsed(AsyncWebsocketConsumer):
    """Tells what the server and Channels read in the handshake."""

    async def connect(self) -> None:
        await self.accept()
        scope = self.scope
        told = {
            "cookies": scope["cookies"],
            "path": scope["path"],
            "kwargs": scope["url_route"]["kwargs"],
            "user": str(scope["user"]),
        }
        await self.send(json.dumps(told))


class Events(AsyncSseConsumer):
    """Sends one event whose fields the client chooses."""

    async def connect(self) -> None:
        asked = parse_qs(self.scope["query_string"].decode(), keep_blank_values=True)
        fields = {name: asked[name][0] for name in ("data", "event", "id") if name in asked}
        try:
            await self.send_event(**fields)
        except ValueError:
            await self.send_event("refused")
        await self.send_event(self.last_event_id, event="last")
        await self.close()


class Poll(AsyncHttpConsumer):
    """A response that is held until somebody knocks."""

    groups = ["polls"]

    async def handle(self, body: bytes) -> None:
        await self.send_headers(flush=True)

    async def knock(self, event: dict[str, Any]) -> None:
        await self.send_body(b"knock")


class Letter(AsyncHttpConsumer, max_body_size=64 * KIBIBYTE, body_timeout=1):
    """Tells the size of a body."""

    async def handle(self, body: bytes) -> None:
        await self.send_response(200, str(len(body)).encode())


class Private(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, str(self.scope["user"]).encode())


async def user_of(token: str, scope: Any) -> User | None:
    return await User.objects.filter(username=token).afirst()


class Condition:
    """How the site is: what it has open, and how long one turn of the loop has lasted."""

    longest = 0.0

    def begin(self) -> None:
        """Begin to look, once a loop runs."""
        if not hasattr(self, "loop"):
            self.loop = asyncio.get_running_loop()
            self.measure(time.thread_time())

    def measure(self, before: float) -> None:
        """Note how long the loop has computed since the last look.

        It is the CPU time of the loop's thread: a busy machine does not count.
        """
        now = time.thread_time()
        self.longest = max(self.longest, now - before)
        self.loop.call_later(0.01, self.measure, now)

    def told(self) -> dict[str, Any]:
        layer: Any = get_channel_layer()
        longest, self.longest = self.longest, 0.0
        return {
            # The task of this request is not counted.
            "tasks": len(asyncio.all_tasks()) - 1,
            "channels": len(layer.channels),
            "groups": sum(map(len, layer.groups.values())),
            "longest": longest,
            # The most memory that the process has had, in KiB.
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


condition = Condition()


async def state(scope: Any, receive: Any, send: Any) -> None:
    """Answer how the site is; write the query into the log first, as a mark."""
    logger.info("mark %s", scope["query_string"].decode())
    body = json.dumps(condition.told()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def log_in(request: HttpRequest) -> HttpResponse:
    """Log in whoever asks; the address of a site's login page."""
    from django.contrib.auth import login

    if request.GET.get("as") != "anna":
        return HttpResponse("Log in.")
    login(request, User.objects.get(username="anna"))
    return HttpResponse("Welcome.")


vars(urls)["urlpatterns"] = [path("log-in/", log_in)]
call_command("migrate", verbosity=0)
User.objects.get_or_create(username="anna")

token = [HeaderToken(), QueryToken(), SubprotocolToken()]
websockets = [
    path("echo/", Echo.as_asgi()),
    path("sync/", SyncEcho.as_asgi()),
    path("sizes/", Sizes.as_asgi()),
    path("pour/", Pour.as_asgi()),
    path("versions/", Versions.as_asgi()),
    path("parsed/", Parsed.as_asgi()),
    path("room/<str:name>/", Parsed.as_asgi()),
    path("private/", login_required(Parsed.as_asgi())),
    path("token/", TokenAuthMiddleware(Parsed.as_asgi(), user_of, token, required=True)),
    path("first/", TokenAuthMiddleware(Echo.as_asgi(), user_of, FirstMessageToken(timeout=1))),
]
django_application: Any = get_asgi_application()
http = [
    path("events/", Events.as_asgi()),
    path("poll/", Poll.as_asgi()),
    path("letter/", Letter.as_asgi()),
    path("private/", AuthMiddlewareStack(login_required(Private.as_asgi()))),
    re_path("", django_application),
]
stack = ProtocolTypeRouter(
    {
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websockets))),
        "http": URLRouter(http),
    }
)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve the attacked site, and beside it the page that tells how the site is."""
    if scope["type"] != "lifespan":
        condition.begin()
    if scope.get("path") == "/state/":
        await state(scope, receive, send)
    else:
        await stack(scope, receive, send)
