from typing import Any

import channels.auth
import pytest
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddleware, AuthMiddlewareStack, UserLazyObject, get_user

import channels_auth.auth
from channels_core.typing import Receive, Scope, Send


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "told", "anonymous": scope["user"].is_anonymous})


def test_it_is_the_module_of_channels_auth() -> None:
    assert channels.auth is channels_auth.auth


async def test_a_stack_under_this_name_finds_nobody_without_a_cookie(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    scope = {"type": "websocket", "path": "/", "headers": []}
    communicator = ApplicationCommunicator(AuthMiddlewareStack(tell), scope)
    assert await communicator.receive_output(20) == {"type": "told", "anonymous": True}


async def test_what_is_missing_is_named() -> None:
    scope: Scope = {"type": "websocket"}
    with pytest.raises(ValueError, match="session"):
        await get_user(scope)
    with pytest.raises(ValueError, match="SessionMiddleware"):
        AuthMiddleware(tell).populate_scope(scope)
    with pytest.raises(ValueError, match="Accessing scope user before it is ready"):
        str(UserLazyObject())
