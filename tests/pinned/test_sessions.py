"""The behaviour of sessions and logins that programs and tests for Channels 4.3 rely on."""

from collections.abc import Iterator
from typing import Any

import pytest
from channels.auth import get_user, login, logout
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from channels.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.cache import SessionStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import SuspiciousOperation

from channels_core.typing import Receive, Scope, Send

ENGINE = "django.contrib.sessions.backends.cache"
DELETED = (
    "The request's session was deleted before the request completed. "
    "The user may have logged out in a concurrent request, for example."
)


async def changing(scope: Scope, receive: Receive, send: Send) -> None:
    """Change the session, and respond."""
    scope["session"]["a"] = 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def interrupted(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond after another request has deleted the session."""
    await scope["session"].aset("a", 2)
    await SessionStore(scope["session"].session_key).adelete()
    await changing(scope, receive, send)


@pytest.fixture
def sessions(settings: Any) -> None:
    settings.SESSION_ENGINE = ENGINE


@pytest.fixture
def told() -> Iterator[list[Any]]:
    heard: list[Any] = []

    def hear(**kwargs: object) -> None:
        heard.append(kwargs)

    user_logged_out.connect(hear)
    yield heard
    user_logged_out.disconnect(hear)


async def cookie() -> list[tuple[bytes, bytes]]:
    session = SessionStore()
    session["a"] = 1
    await session.asave()
    return [(b"cookie", f"sessionid={session.session_key}".encode())]


def test_the_header_of_a_cookie_has_its_usual_name() -> None:
    message: dict[str, Any] = {}
    CookieMiddleware.set_cookie(message, "a", "b")
    CookieMiddleware.delete_cookie(message, "c")
    assert [name for name, _ in message["headers"]] == [b"Set-Cookie", b"Set-Cookie"]


@pytest.mark.usefixtures("sessions")
async def test_the_header_of_a_sessions_cookie_has_its_usual_name() -> None:
    page = HttpCommunicator(SessionMiddlewareStack(changing), "GET", "/")
    response = await page.get_response()
    assert b"Set-Cookie" in [name for name, _ in response["headers"]]


def test_the_header_of_a_cookie_comes_after_those_of_the_program() -> None:
    message = {"headers": [(b"X-A", b"b")]}
    CookieMiddleware.set_cookie(message, "a", "b", samesite="strict")
    assert message["headers"] == [
        (b"X-A", b"b"),
        (b"Set-Cookie", b"a=b; Path=/; SameSite=strict"),
    ]


@pytest.mark.parametrize("samesite", ["foo", ""])
def test_another_samesite_is_an_assertion_error(samesite: str) -> None:
    with pytest.raises(AssertionError) as caught:
        CookieMiddleware.set_cookie({}, "a", samesite=samesite)
    assert str(caught.value) == "samesite must be either 'strict', 'lax' or 'none'"


@pytest.mark.usefixtures("sessions")
async def test_a_session_that_was_deleted_is_a_suspicious_operation() -> None:
    application = CookieMiddleware(SessionMiddleware(interrupted))
    page = HttpCommunicator(application, "GET", "/", headers=await cookie())
    with pytest.raises(SuspiciousOperation) as caught:
        await page.get_response()
    assert str(caught.value) == DELETED
    # As in a view of Django.
    assert isinstance(caught.value, SessionInterrupted)


@pytest.mark.usefixtures("sessions")
async def test_the_outermost_router_answers_it() -> None:
    application = ProtocolTypeRouter({"http": SessionMiddlewareStack(interrupted)})
    page = HttpCommunicator(application, "GET", "/", headers=await cookie())
    assert (await page.get_response())["status"] == 400


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("before", [{}, {"user": AnonymousUser()}])
async def test_a_logout_of_nobody_tells_nobody(before: dict[str, Any], told: list[Any]) -> None:
    scope: Scope = {"session": SessionStore(), **before}
    await logout(scope)
    assert not told
    assert scope.keys() == {"session", *before}


async def test_login_without_a_session() -> None:
    with pytest.raises(ValueError, match="session in scope") as caught:
        await login({}, None)
    assert str(caught.value) == (
        "Cannot find session in scope. You should wrap your consumer in SessionMiddleware."
    )


async def test_logout_without_a_session() -> None:
    with pytest.raises(ValueError, match="session in scope") as caught:
        await logout({})
    assert str(caught.value) == (
        "Login cannot find session in scope. You should wrap your consumer in SessionMiddleware."
    )


async def test_get_user_without_a_session() -> None:
    with pytest.raises(ValueError, match="session in scope") as caught:
        await get_user({})
    assert str(caught.value) == (
        "Cannot find session in scope. You should wrap your consumer in SessionMiddleware."
    )


@pytest.mark.usefixtures("sessions")
async def test_an_acceptance_that_changes_no_session_goes_out_as_it_is() -> None:
    class Accepting(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.base_send({"type": "websocket.accept", "subprotocol": None})

    socket = WebsocketCommunicator(SessionMiddlewareStack(Accepting.as_asgi()), "/")
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output()
    assert answer == {"type": "websocket.accept", "subprotocol": None}
    await socket.disconnect()
