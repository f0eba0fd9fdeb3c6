"""Connect, accept and disconnect, through the authentication stack and a group."""

import asyncio
import tempfile
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clients import Client
from benchmarks.clock import cheapest, cpu, run
from benchmarks.honesty import DishonestError, check_equal
from benchmarks.site import MEMORY, set_up_with_users

CHANNELS = ("ours", "upstream", "limit")
PEERS = ("ours", "upstream", "starlette", "limit")
LINE = "CPU time of a connection, beside held ones"
USER = "ada"

CASE = Case(
    number=5,
    title="Connect, accept, disconnect",
    method="Through `AuthMiddlewareStack`, a `URLRouter` and a consumer in a group of the "
    "memory layer; the consumer reads the user. Fifty at once, or one after the other, also "
    "beside held connections. Starlette: its authentication middleware and a set of "
    "connections. The limit: Django's sessions and users in one thread hop, and a set.",
    rows=(
        Row("anonymous-one", "connect, anonymous: one", "connection", PEERS),
        Row("anonymous-fifty", "connect, anonymous: fifty at once", "connection", PEERS),
        Row("cookie-one", "connect, signed-cookie session: one", "connection", CHANNELS),
        Row(
            "cookie-fifty",
            "connect, signed-cookie session: fifty",
            "connection",
            CHANNELS,
            quick=False,
        ),
        Row("database-one", "connect, database session: one", "connection", CHANNELS),
        Row(
            "database-fifty",
            "connect, database session: fifty",
            "connection",
            CHANNELS,
            quick=False,
        ),
        Row("held-0", "connect, beside none", "connection", PEERS, line=LINE, quick=False),
        Row("held-1000", "connect, beside 1,000 held", "connection", PEERS, size=1000, line=LINE),
        Row(
            "held-5000",
            "connect, beside 5,000 held",
            "connection",
            PEERS,
            size=5000,
            line=LINE,
            rounds=3,
            quick=False,
        ),
    ),
)


class Site:
    """An application that lists the users of its connections.

    `tell` sends a text to the group of the connections. `folder` has the site's database.
    """

    def __init__(
        self,
        application: Any,
        seen: list[str],
        tell: Any,
        cookie: str = "",
        folder: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self.application = application
        self.seen = seen
        self.tell = tell
        self.cookie = cookie
        self._folder = folder

    def close(self) -> None:
        """Remove the database."""
        if self._folder is not None:
            self._folder.cleanup()


def django_site(row: Row, *apps: str) -> tuple[str, tempfile.TemporaryDirectory[str]]:
    """Set up Django with the row's kind of session.

    Returns:
        A visitor's session key, and the folder of the database, which has to be removed.
    """
    kind = row.name.partition("-")[0]
    engine = "db" if kind == "database" else "signed_cookies"
    folder = set_up_with_users(
        *apps,
        SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        CHANNEL_LAYERS=MEMORY if apps else {},
    )
    if kind not in {"cookie", "database"}:
        return "", folder
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0, interactive=False)
    # What the login view of a site would store, without the cost of a password.
    user = User.objects.create(username=USER, password="!")
    session = import_module(f"django.contrib.sessions.backends.{engine}").SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    connections.close_all()
    return str(session.session_key), folder


def channels(row: Row) -> Any:
    """Return a consumer of Channels in a group, behind the stack that its tutorial has."""
    cookie, folder = django_site(row, "channels")
    from channels.auth import AuthMiddlewareStack
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    seen: list[str] = []

    class Member(AsyncWebsocketConsumer):
        groups = ["room"]

        async def connect(self) -> None:
            seen.append(self.scope["user"].get_username())
            await self.accept()

        async def disconnect(self, code: int) -> None:
            seen.append(f"left {code}")

        async def room_text(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    async def tell(text: str) -> None:
        layer: Any = get_channel_layer()
        await layer.group_send("room", {"type": "room.text", "text": text})

    routes = URLRouter([path("room/", Member.as_asgi())])
    application = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(routes)})
    return Site(application, seen, tell, cookie, folder)


def starlette(row: Row) -> Any:
    """Return an endpoint of Starlette behind its authentication middleware."""
    from starlette.applications import Starlette
    from starlette.authentication import AuthenticationBackend
    from starlette.endpoints import WebSocketEndpoint
    from starlette.middleware import Middleware
    from starlette.middleware.authentication import AuthenticationMiddleware
    from starlette.routing import WebSocketRoute

    seen: list[str] = []
    members: set[Any] = set()

    class Anonymous(AuthenticationBackend):
        async def authenticate(self, conn: Any) -> None:
            """Know nobody."""

    class Member(WebSocketEndpoint):
        async def on_connect(self, websocket: Any) -> None:
            seen.append(websocket.user.display_name)
            members.add(websocket)
            await websocket.accept()

        async def on_disconnect(self, websocket: Any, close_code: int) -> None:
            members.remove(websocket)
            seen.append(f"left {close_code}")

    async def tell(text: str) -> None:
        for websocket in members:
            await websocket.send_text(text)

    middleware = [Middleware(AuthenticationMiddleware, backend=Anonymous())]
    application = Starlette(routes=[WebSocketRoute("/room/", Member)], middleware=middleware)
    return Site(application, seen, tell)


def limit(row: Row) -> Any:
    """Return the same by hand: Django's sessions and users, one thread hop, and a set."""
    seen: list[str] = []
    members: set[Any] = set()
    cookie, folder = "", None
    user_of: Any = None
    if row.name.startswith(("cookie", "database")):
        cookie, folder = django_site(row)
        user_of = user_in_thread()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        name = await user_of(scope) if user_of else ""
        await receive()
        members.add(send)
        seen.append(name)
        try:
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            members.remove(send)
        seen.append(f"left {message['code']}")

    async def tell(text: str) -> None:
        for send in members:
            await send({"type": "websocket.send", "text": text})

    return Site(application, seen, tell, cookie, folder)


def user_in_thread() -> Any:
    """Return a function that finds the user of a scope."""
    from asgiref.sync import sync_to_async
    from django.conf import settings
    from django.contrib.auth import get_user
    from django.db import close_old_connections
    from django.http import HttpRequest
    from django.http.cookie import parse_cookie

    store = import_module(settings.SESSION_ENGINE).SessionStore

    def look_up(key: str) -> str:
        close_old_connections()
        try:
            request = HttpRequest()
            request.session = store(key)
            return get_user(request).get_username()
        finally:
            close_old_connections()

    async def user_of(scope: Any) -> str:
        header = next(value for name, value in scope["headers"] if name == b"cookie")
        return await sync_to_async(look_up)(parse_cookie(header.decode("latin-1"))["sessionid"])

    return user_of


PROGRAMS = {"ours": channels, "upstream": channels, "starlette": starlette, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one connection."""
    try:
        return run(connections(program, row, scale), row)
    finally:
        program.close()


class Visit(Client):
    """A client that leaves as soon as it is accepted."""

    async def _send(self, message: dict[str, Any]) -> None:
        await super()._send(message)
        self.feed({"type": "websocket.disconnect", "code": 1001, "reason": ""})


async def connections(site: Site, row: Row, scale: Scale) -> float:
    """Measure connections, one after the other or fifty at once."""
    headers = [(b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0")]
    if site.cookie:
        headers.append((b"cookie", f"theme=dark; sessionid={site.cookie}".encode()))
    count = scale.count(200, 50)
    at_once = 50 if row.name.endswith("fifty") else 1
    held = [Client(site.application, "/room/", headers) for _ in range(row.size)]
    for client in held:
        await client.accepted()

    async def once() -> float:
        site.seen.clear()
        visits = []
        start = cpu()
        for _ in range(0, count, at_once):
            some = [Visit(site.application, "/room/", headers) for _ in range(at_once)]
            for visit in some:
                await visit.task
            visits += some
        seconds = cpu() - start
        for visit in visits:
            check_equal(
                "what a connection was sent",
                ["websocket.accept"],
                kinds(visit),
            )
        user = USER if site.cookie else ""
        check_equal("users that connected", count, site.seen.count(user))
        check_equal("connections that left", count, site.seen.count("left 1001"))
        return seconds / count

    figure = await cheapest(once, scale.repetitions)
    # Those above leave too soon to hear from their group.
    listening = [Client(site.application, "/room/", headers) for _ in range(50)]
    for client in listening:
        await client.accepted()
    await check_held(site, [*held, *listening])
    site.seen.clear()
    for client in listening:
        await client.leave()
    check_equal("connections that left", len(listening), site.seen.count("left 1000"))
    return figure


async def check_held(site: Site, clients: Sequence[Client]) -> None:
    """Check that connections are open, and that each one gets a message to its group, once.

    Raises:
        DishonestError: One is not, or does not.
    """
    named = {
        f"connection {number} of {len(clients)} that are held": client
        for number, client in enumerate(clients)
    }
    for which, client in named.items():
        check_equal(f"{which}: what it was sent", ["websocket.accept"], kinds(client))
        check_equal(f"{which}: has its application ended", False, client.task.done())
    await site.tell("to the group")
    for which, client in named.items():
        try:
            await client.until(2)
        except asyncio.CancelledError:
            # `run` ends the wait for a message that was lost.
            raise DishonestError(f"{which}: a message to its group did not arrive") from None
    # Until one that comes twice has come.
    for _ in range(10):
        await asyncio.sleep(0)
    for which, client in named.items():
        expected = ["websocket.accept", "websocket.send"]
        check_equal(f"{which}: what it was sent", expected, kinds(client))
        check_equal(f"{which}: its message", ["to the group"], client.texts())


def kinds(client: Client) -> list[str]:
    """Return the types of the messages that a client was sent."""
    return [message["type"] for message in client.sent]
