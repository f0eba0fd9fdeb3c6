"""What a connection leaves to the garbage collector."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from channels_auth.auth import AuthMiddlewareStack
from channels_core.typing import Receive, Scope, Send
from http_logins import logged_in_request, session_cookies
from servers import Server, websocket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def cookies_of_member() -> dict[str, str]:
    return session_cookies(logged_in_request(User.objects.create(username="anna")))


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("who", ["nobody", "member"])
async def test_the_session_of_a_connection_goes_with_it(who: str) -> None:
    sessions: list[Any] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert scope["user"].is_authenticated is (who == "member")
        sessions.append(ref(scope["session"]))
        await send({"type": "websocket.accept"})
        await receive()

    cookies = await sync_to_async(cookies_of_member)() if who == "member" else {}
    server = Server(AuthMiddlewareStack(application), websocket(cookies))
    await server.connect()
    await server.leave()
    del server
    [session] = sessions
    for _ in range(1000):  # the thread that has looked the user up lets it go last
        if session() is None:
            break
        await asyncio.sleep(0.01)
    assert session() is None
