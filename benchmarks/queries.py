"""Count the database queries of a connection with a session and a user.

    python -m benchmarks.queries

prints a table of queries and thread entries, for this tree and for the peer. It uses only the
public API under `channels.*`, so the same code runs on both.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

from benchmarks.case import OURS, UPSTREAM
from benchmarks.environments import install
from benchmarks.peers import PEERS
from tools.packages import ROOT

UPSTREAM_VERSION: Final = "4.3.2"
VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


class Row(NamedTuple):
    """One kind of connection."""

    visitor: str
    #: What the application does, for the table.
    does: str
    #: The middleware, a key of `stacks` in `connection`.
    stack: str
    #: The visitor, a key in the result of `configure`.
    who: str
    #: What `act` does.
    action: str


ROWS: Final = [
    Row("without a cookie", "nothing", "session", "nobody", "nothing"),
    Row("with a session", "nothing", "session", "anonymous", "nothing"),
    Row("with a session", "reads it", "session", "anonymous", "read"),
    Row("with a session", "changes it", "session", "anonymous", "change"),
    Row("with a session", "changes it after accepting", "session", "anonymous", "late change"),
    Row("without a cookie", "looks at the user", "auth", "nobody", "user"),
    Row("with an anonymous session", "looks at the user", "auth", "anonymous", "user"),
    Row("logged in", "looks at the user", "auth", "member", "user"),
    Row("logged in", "looks at both", "auth", "member", "both"),
    Row("logged in, two stacks nested", "looks at the user", "nested", "member", "user"),
    Row("without a cookie", "logs in", "auth", "nobody", "login"),
    Row("logged in", "logs out", "auth", "member", "logout"),
]
KINDS: Final = ("http", "websocket")


def configure(folder: str) -> dict[str, str | None]:
    """Set up Django with a database file, and return each visitor's session key."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="not a secret",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
        ],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db.sqlite3"}
        },
        USE_TZ=True,
    )
    django.setup()
    from django.contrib.auth import login
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.http import HttpRequest

    call_command("migrate", verbosity=0)
    member = HttpRequest()
    member.session = SessionStore()
    login(member, User.objects.create_user("anna"))
    member.session.save()
    anonymous = SessionStore()
    anonymous["cart"] = 3
    anonymous.save()
    return {
        "nobody": None,
        "anonymous": anonymous.session_key,
        "member": member.session.session_key,
    }


class Counter:
    """Counts the queries and the thread entries."""

    def __init__(self) -> None:
        from asgiref.sync import SyncToAsync
        from django.db.backends.utils import CursorWrapper

        self.queries = self.hops = 0
        execute, call = CursorWrapper.execute, SyncToAsync.__call__

        def counting_execute(cursor: Any, sql: Any, params: Any = None) -> Any:
            self.queries += sql.lstrip().startswith(VERBS)
            return execute(cursor, sql, params)

        async def counting_call(one: Any, *args: Any, **kwargs: Any) -> Any:
            self.hops += 1
            return await call(one, *args, **kwargs)

        # Patched in the classes, which affects all threads, until this process ends.
        mock.patch.object(CursorWrapper, "execute", counting_execute).start()
        mock.patch.object(SyncToAsync, "__call__", counting_call).start()


async def act(scope: Any, action: str, *, is_peer: bool) -> None:
    """Perform the action of the application."""
    from channels.auth import login, logout
    from django.contrib.auth.models import User

    if action in {"read", "both"}:
        await scope["session"].aget("cart")
    if action in {"change", "late change"}:
        await scope["session"].aset("cart", 4)
        if is_peer and scope["type"] == "websocket":
            # Ours saves it by itself. The peer would lose it.
            await scope["session"].asave()
    if action in {"user", "both"}:
        bool(scope["user"].is_authenticated)
    if action == "login":
        user = User(pk=1, username="anna")
        await login(scope, user)
        if is_peer and scope["type"] == "websocket":
            await scope["session"].asave()
    if action == "logout":
        await logout(scope)


async def connection(row: Row, kind: str, key: str | None, *, is_peer: bool) -> None:
    """Drive one connection from start to end."""
    from channels.auth import AuthMiddlewareStack
    from channels.sessions import SessionMiddlewareStack

    answer = "websocket.accept" if kind == "websocket" else "http.response.start"
    sent: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if row.action != "late change":
            await act(scope, row.action, is_peer=is_peer)
        await send({"type": answer, "status": 200, "headers": []})
        if row.action == "late change":
            await act(scope, row.action, is_peer=is_peer)
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
    serve: Callable[..., Awaitable[Any]] = stacks[row.stack](application)
    cookie = [(b"cookie", f"sessionid={key}".encode())] if key else []
    scope = {"type": kind, "path": "/", "query_string": b"", "headers": cookie}
    await serve(scope | ({"method": "GET"} if kind == "http" else {}), receive, send)
    if sent != [answer]:
        raise RuntimeError(f"{row} sent {sent}")


async def count(keys: dict[str, str | None]) -> list[list[int] | None]:
    """Return the queries and thread entries of each row, over HTTP and over a WebSocket.

    An entry is None where the row has no meaning: HTTP has nothing to accept first.
    """
    import channels

    found: list[list[int] | None] = []
    counter = Counter()
    is_peer = channels.__version__ == UPSTREAM_VERSION
    for row in ROWS:
        for kind in KINDS:
            if kind == "http" and row.action == "late change":
                found.append(None)
                continue
            counter.queries = counter.hops = 0
            with Savepoint():
                await connection(row, kind, keys[row.who], is_peer=is_peer)
                found.append([counter.queries, counter.hops])
    return found


class Savepoint:
    """Restore the database at the end of the block."""

    def __enter__(self) -> None:
        from django.conf import settings

        self.path = Path(str(settings.DATABASES["default"]["NAME"]))
        self.content = self.path.read_bytes()

    def __exit__(self, *exc_info: object) -> None:
        from asgiref.sync import SyncToAsync
        from django.db import connections

        # Close the connection of the thread that does all asynchronous database work.
        SyncToAsync.single_thread_executor.submit(connections.close_all).result()
        self.path.write_bytes(self.content)


def measure() -> None:
    """Count in this process, and print the figures."""
    from django.db import connections

    with tempfile.TemporaryDirectory() as folder:
        keys = configure(folder)
        connections.close_all()
        print(json.dumps(asyncio.run(count(keys))))


def main() -> None:
    """Count with ours and with the peer, and print a table."""
    figures = []
    for peer in (OURS, UPSTREAM):
        command = [str(install(PEERS[peer])), "-m", "benchmarks.queries", "--count"]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        figures.append(json.loads(done.stdout))
    print(f"queries (thread entries): ours against {PEERS[UPSTREAM].title}\n")
    print("| visitor | the application | HTTP | 4.3.2 | WebSocket | 4.3.2 |")
    print("|---|---|---|---|---|---|")
    ours, theirs = (iter(each) for each in figures)
    for row in ROWS:
        cells = []
        for _ in KINDS:
            cells += [
                f"{figure[0]} ({figure[1]})" if figure else "-"
                for figure in (next(ours), next(theirs))
            ]
        print(f"| {row.visitor} | {row.does} | {' | '.join(cells)} |")


if __name__ == "__main__":
    measure() if "--count" in sys.argv else main()
