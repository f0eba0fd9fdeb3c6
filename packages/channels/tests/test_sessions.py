from typing import Any

import channels.sessions
import pytest
from asgiref.testing import ApplicationCommunicator
from channels.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack

import channels_auth.sessions
from channels_core.typing import Receive, Scope, Send


async def put(scope: Scope, receive: Receive, send: Send) -> None:
    scope["session"]["seen"] = scope["cookies"]["a"]
    message: dict[str, Any] = {"type": "http.response.start", "status": 200}
    CookieMiddleware.set_cookie(message, "b", "2", max_age=None, httponly=True, samesite="strict")
    await send(message)


def test_it_is_the_module_of_channels_auth() -> None:
    assert channels.sessions is channels_auth.sessions


async def test_cookies_and_a_session_under_this_name(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    scope = {"type": "http", "path": "/", "headers": [(b"cookie", b"a=1")]}
    communicator = ApplicationCommunicator(SessionMiddlewareStack(put), scope)
    message = await communicator.receive_output(20)
    cookies = [value for name, value in message["headers"] if name.lower() == b"set-cookie"]
    assert cookies[0] == b"b=2; HttpOnly; Path=/; SameSite=strict"
    assert cookies[1].startswith(b"sessionid=")


async def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="CookieMiddleware"):
        await SessionMiddleware(put)({"type": "http"}, nothing, nothing)


async def nothing(*args: Any) -> Any:
    raise NotImplementedError
