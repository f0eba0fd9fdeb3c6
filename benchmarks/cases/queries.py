"""Database queries and thread entries of a connection with a session and a user.

These are counts, not times. Both are counted in what Django and Python offer to all peers: queries
in Django's cursor, and entries by what comes back, since a thread tells the event loop of its end.
"""

import asyncio
import tempfile
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from unittest import mock

from benchmarks.case import Case, Row, Scale
from benchmarks.clock import run
from benchmarks.honesty import DishonestError, check_equal
from benchmarks.site import database_of, set_up_with_users

VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
KINDS: Final = {"http": "HTTP", "websocket": "WebSocket"}
USER: Final = "anna"


class Visit(NamedTuple):
    """One kind of connection."""

    name: str
    title: str
    #: The middleware, a key of `stacks` in `connection`.
    stack: str
    #: The visitor, a key of `Site.keys`.
    who: str
    #: What `act` does.
    action: str

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of connections: an HTTP response begins only once."""
        return [kind for kind in KINDS if kind != "http" or self.action != "late change"]


VISITS: Final = (
    Visit("no-cookie", "without a cookie, nothing", "session", "nobody", "nothing"),
    Visit("session", "with a session, nothing", "session", "anonymous", "nothing"),
    Visit("read", "with a session, reads it", "session", "anonymous", "read"),
    Visit("change", "with a session, changes it", "session", "anonymous", "change"),
    Visit(
        "late-change",
        "with a session, changes it after accepting",
        "session",
        "anonymous",
        "late change",
    ),
    Visit("no-user", "without a cookie, reads the user", "auth", "nobody", "user"),
    Visit("anonymous-user", "with a session, reads the user", "auth", "anonymous", "user"),
    Visit("user", "logged in, reads the user", "auth", "member", "user"),
    Visit("both", "logged in, reads session and user", "auth", "member", "both"),
    Visit("nested", "logged in, two stacks nested, reads the user", "nested", "member", "user"),
    Visit("login", "without a cookie, logs in", "auth", "nobody", "login"),
    Visit("logout", "logged in, logs out", "auth", "member", "logout"),
)

CASE = Case(
    number=13,
    title="Database queries of a connection",
    method="Counts, the same in every run: database queries, and how often a connection waits for "
    "a thread (entries), with sessions in the database. The first rows are for "
    "`SessionMiddlewareStack`, those about a user or a login for `AuthMiddlewareStack`. On a "
    "WebSocket, Channels 4.3.2 does not save changes to the session, so there the application "
    "does it.",
    rows=tuple(
        Row(
            f"{visit.name}-{kind}-{unit}",
            f"{visit.title}, {KINDS[kind]}: {unit}",
            "connection",
            ("ours", "upstream"),
            unit=unit,
            together="queries",
            absolute=True,
        )
        for visit in VISITS
        for kind in visit.kinds
        for unit in ("queries", "entries")
    ),
)


class Site(NamedTuple):
    """A site with a database.

    Attributes:
        folder: The folder of the database, which has to be removed.
        keys: The session key of each visitor.
        saves: Whether the application saves a session that it has changed on a WebSocket.
    """

    folder: tempfile.TemporaryDirectory[str]
    keys: dict[str, str | None]
    saves: bool


def ours(row: Row) -> Site:
    """Set up a site whose sessions are saved for it."""
    return site(saves=False)


def upstream(row: Row) -> Site:
    """Set up a site that saves its sessions on WebSockets, where they would be lost."""
    return site(saves=True)


def site(*, saves: bool) -> Site:
    """Set up Django with a database file, a user and the visitors' sessions."""
    folder = set_up_with_users()
    from django.contrib.auth import login
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import connections
    from django.http import HttpRequest

    call_command("migrate", verbosity=0, interactive=False)
    member = HttpRequest()
    member.session = SessionStore()
    login(member, User.objects.create(username=USER, password="!"))
    member.session.save()
    anonymous = SessionStore()
    anonymous["cart"] = 3
    anonymous.save()
    connections.close_all()
    keys = {
        "nobody": None,
        "anonymous": anonymous.session_key,
        "member": member.session.session_key,
    }
    return Site(folder, keys, saves)


PROGRAMS = {"ours": ours, "upstream": upstream}


def measure(program: Site, row: Row, scale: Scale) -> dict[str, float]:
    """Return the queries and the thread entries of all visits."""
    with program.folder:
        return run(visits(program), row)


async def visits(program: Site) -> dict[str, float]:
    """Count what each visit takes, from the same content of the database."""
    figures: dict[str, float] = {}
    database = database_of(program.folder)
    content = database.read_bytes()
    counter = Counter()
    for visit in VISITS:
        for kind in visit.kinds:
            counter.clear()
            seen = await connection(program, visit, kind)
            queries, entries = len(counter.queries), counter.entries
            figures[f"{visit.name}-{kind}-queries"] = queries
            figures[f"{visit.name}-{kind}-entries"] = entries
            what = f"{visit.title}, {KINDS[kind]}"
            check_threads(what, counter.queries, entries)
            check_effect(what, visit, seen, await asyncio.to_thread(stored))
            await asyncio.to_thread(close_connections)
            database.write_bytes(content)
    return figures


class Counter:
    """Counts the queries, by the thread that they run in, and the thread entries."""

    def __init__(self) -> None:
        """Begin to count, until this process ends."""
        from django.db.backends.utils import CursorWrapper

        self.clear()
        loop, here = asyncio.get_running_loop(), threading.get_ident()
        execute, call = CursorWrapper.execute, loop.call_soon_threadsafe

        def counting_execute(cursor: Any, sql: Any, params: Any = None) -> Any:
            if sql.lstrip().startswith(VERBS):
                self.queries.append("event loop" if threading.get_ident() == here else "thread")
            return execute(cursor, sql, params)

        def counting_call(*args: Any, **kwargs: Any) -> Any:
            self.entries += threading.get_ident() != here
            return call(*args, **kwargs)

        # In the class, which affects the connections of all threads.
        mock.patch.object(CursorWrapper, "execute", counting_execute).start()
        mock.patch.object(loop, "call_soon_threadsafe", counting_call).start()

    def clear(self) -> None:
        """Begin with none."""
        self.queries: list[str] = []
        self.entries = 0


async def connection(program: Site, visit: Visit, kind: str) -> list[Any]:
    """Drive one connection from start to end, and return what the application has seen."""
    from channels.auth import AuthMiddlewareStack
    from channels.sessions import SessionMiddlewareStack

    answer = "websocket.accept" if kind == "websocket" else "http.response.start"
    saves = program.saves and kind == "websocket"
    late = visit.action == "late change"
    seen: list[Any] = []
    sent: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if not late:
            seen.extend(await act(scope, visit.action, saves=saves))
        await send({"type": answer, "status": 200, "headers": []})
        if late:
            seen.extend(await act(scope, visit.action, saves=saves))
        await receive()

    async def receive() -> Any:
        return {"type": f"{kind}.disconnect" if sent else f"{kind}.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    stacks: dict[str, Callable[[Any], Any]] = {
        "session": SessionMiddlewareStack,
        "auth": AuthMiddlewareStack,
        "nested": lambda inner: AuthMiddlewareStack(AuthMiddlewareStack(inner)),
    }
    serve: Callable[..., Awaitable[Any]] = stacks[visit.stack](application)
    key = program.keys[visit.who]
    cookie = [(b"cookie", f"sessionid={key}".encode())] if key else []
    scope = {"type": kind, "path": "/", "query_string": b"", "headers": cookie}
    await serve(scope | ({"method": "GET"} if kind == "http" else {}), receive, send)
    check_equal(f"{visit.title}: what a connection was sent", [answer], sent)
    return seen


async def act(scope: Any, action: str, *, saves: bool) -> list[Any]:
    """Perform the action of the application, and return what it has read."""
    from channels.auth import login, logout
    from django.contrib.auth.models import User

    found = []
    if action in {"read", "both"}:
        found.append(await scope["session"].aget("cart"))
    if action in {"change", "late change"}:
        await scope["session"].aset("cart", 4)
    if action in {"user", "both"}:
        found.append(scope["user"].get_username())
    if action == "login":
        await login(scope, User(pk=1, username=USER))
    if action == "logout":
        await logout(scope)
    if saves and action in {"change", "late change", "login"}:
        await scope["session"].asave()
    return found


def stored() -> tuple[list[int], int]:
    """Return the carts in the stored sessions, and how many sessions are of a user."""
    from django.contrib.sessions.models import Session

    sessions = [session.get_decoded() for session in Session.objects.all()]
    carts = [session["cart"] for session in sessions if "cart" in session]
    return carts, sum("_auth_user_id" in session for session in sessions)


def close_connections() -> None:
    """Close the connections of this thread, and of the one for asynchronous database work."""
    from asgiref.sync import SyncToAsync
    from django.db import connections

    connections.close_all()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


def check_threads(what: str, queries: list[str], entries: int) -> None:
    """Check that queries ran in threads, and that their entries were counted.

    Raises:
        DishonestError: A query held up the event loop, or an entry was not seen.
    """
    check_equal(f"{what}: queries in the event loop", 0, queries.count("event loop"))
    if queries and not entries:
        raise DishonestError(
            f"{what}: {len(queries)} queries ran in another thread, but no entry was counted"
        )


def check_effect(what: str, visit: Visit, seen: list[Any], found: tuple[list[int], int]) -> None:
    """Check what the application has read, and what is stored in the end.

    Raises:
        DishonestError: The connection did not do what is counted.
    """
    carts = {"anonymous": 3}
    users = {"member": USER}
    expected: list[Any] = []
    if visit.action in {"read", "both"}:
        expected.append(carts.get(visit.who))
    if visit.action in {"user", "both"}:
        expected.append(users.get(visit.who, ""))
    check_equal(f"{what}: what the application read", expected, seen)
    cart = 4 if visit.action in {"change", "late change"} else 3
    logged_in = {"login": 2, "logout": 0}.get(visit.action, 1)
    check_equal(f"{what}: carts and sessions of a user", ([cart], logged_in), found)
