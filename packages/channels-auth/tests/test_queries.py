"""What a connection asks of the database; docs/topics/authentication.md shows the same numbers."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.contrib.auth.models import User
from django.core.signing import JSONSerializer
from django.db.backends.utils import CursorWrapper

from channels_auth.auth import AuthMiddlewareStack, login, logout
from channels_auth.sessions import SessionMiddlewareStack
from channels_core.typing import Receive, Scope, Send
from http_logins import logged_in_request, session_cookies
from servers import Server, http, websocket

pytestmark = pytest.mark.django_db(transaction=True)


class Counts:
    """The number of queries in all threads, and how often a thread was entered."""

    queries = 0
    hops = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts = Counts()
    execute = CursorWrapper.execute
    enter: Any = SyncToAsync.thread_handler

    def counting_execute(cursor: Any, sql: str, params: Any = None) -> Any:
        counts.queries += sql.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))
        return execute(cursor, sql, params)

    # In the thread: `look_up` enters it without a call of `sync_to_async`.
    def counting_enter(one: Any, *args: Any, **kwargs: Any) -> Any:
        counts.hops += 1
        return enter(one, *args, **kwargs)

    monkeypatch.setattr(CursorWrapper, "execute", counting_execute)
    monkeypatch.setattr(SyncToAsync, "thread_handler", counting_enter)
    return counts


def visitor(who: str) -> dict[str, str]:
    """Return the cookies of a visitor."""
    if who == "nobody":
        return {}
    user = User.objects.get() if who == "member" else None
    return session_cookies(logged_in_request(user, cart=3))


async def nothing(scope: Scope) -> None:
    pass


async def read(scope: Scope) -> None:
    assert await scope["session"].aget("cart") == 3


async def change(scope: Scope) -> None:
    await scope["session"].aset("cart", 4)


async def look(scope: Scope) -> None:
    assert isinstance(scope["user"].is_authenticated, bool)


async def look_at_both(scope: Scope) -> None:
    await look(scope)
    await read(scope)


async def log_in(scope: Scope) -> None:
    await login(scope, User(pk=scope["pk"]))


async def log_out(scope: Scope) -> None:
    await logout(scope)


def nested(inner: Any) -> Any:
    return AuthMiddlewareStack(AuthMiddlewareStack(inner))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("stack", "who", "action", "queries", "hops"),
    [
        (SessionMiddlewareStack, "nobody", nothing, 0, 0),
        (SessionMiddlewareStack, "anonymous", nothing, 0, 0),
        (SessionMiddlewareStack, "anonymous", read, 1, 1),
        (SessionMiddlewareStack, "anonymous", change, 2, 2),
        (AuthMiddlewareStack, "nobody", look, 0, 0),
        (AuthMiddlewareStack, "anonymous", look, 1, 1),
        (AuthMiddlewareStack, "member", look, 2, 1),
        (AuthMiddlewareStack, "member", look_at_both, 2, 1),
        (nested, "member", look, 2, 1),
        (AuthMiddlewareStack, "nobody", log_in, 4, 2),
        (AuthMiddlewareStack, "member", log_out, 4, 2),
    ],
)
async def test_what_a_connection_costs(
    kind: str,
    stack: Callable[[Any], Any],
    who: str,
    action: Callable[[Scope], Any],
    queries: int,
    hops: int,
    counts: Counts,
) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await action(scope)
        if kind == "websocket":
            await send({"type": "websocket.accept"})
            await receive()
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

    anna = await User.objects.acreate(username="anna")
    cookies = await sync_to_async(visitor)(who)
    counts.queries = counts.hops = 0
    if kind == "http":
        await Server(stack(application), http(cookies, pk=anna.pk)).request()
    else:
        server = Server(stack(application), websocket(cookies, pk=anna.pk))
        await server.connect()
        await server.leave()
    assert (counts.queries, counts.hops) == (queries, hops)


@pytest.mark.parametrize(("who", "queries", "hops"), [("anonymous", 0, 0), ("member", 1, 1)])
async def test_a_session_in_the_cookie_needs_no_thread(
    who: str, queries: int, hops: int, counts: Counts, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    found: list[Any] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        found.extend([scope["user"].username, await scope["session"].aget("cart")])
        await send({"type": "websocket.accept"})
        await receive()

    await User.objects.acreate(username="anna")
    cookies = await sync_to_async(visitor)(who)
    counts.queries = counts.hops = 0
    server = Server(AuthMiddlewareStack(application), websocket(cookies))
    await server.connect()
    await server.leave()
    assert found == ["anna" if who == "member" else "", 3]
    assert (counts.queries, counts.hops) == (queries, hops)


class CountingSerializer(JSONSerializer):
    """A serializer of a program, which asks the database."""

    def loads(self, data: bytes) -> Any:
        User.objects.count()
        return super().loads(data)


async def test_a_serializer_of_the_program_may_ask_the_database(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.SESSION_SERIALIZER = f"{__name__}.CountingSerializer"
    found: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        found.append(scope["user"].username)
        await send({"type": "websocket.accept"})
        await receive()

    await User.objects.acreate(username="anna")
    cookies = await sync_to_async(visitor)("member")
    server = Server(AuthMiddlewareStack(application), websocket(cookies))
    await server.connect()
    await server.leave()
    assert found == ["anna"]
