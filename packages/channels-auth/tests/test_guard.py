from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from channels_auth._challenges import add_challenges
from channels_auth._guard import Guard
from channels_core.typing import Message, Receive, Scope, Send
from servers import DENIAL, http, websocket

urlpatterns: list[Any] = []


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


async def challenges(scope: Scope, *, raise_exception: bool = True) -> list[bytes]:
    """Return what a refusal of nobody in particular tells."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**scope, "user": AnonymousUser()}
    await Guard(never, None, "/in/", "next", raise_exception)(scope, receive, send)
    headers: Any = sent[0].get("headers", ())
    return [value for name, value in headers if name == b"www-authenticate"]


@pytest.mark.parametrize("scope", [http(), websocket(extensions=DENIAL)])
async def test_a_refusal_tells_how_to_log_in(scope: Scope) -> None:
    assert await challenges(scope) == [b"Cookie"]
    scope = dict(scope)
    add_challenges(scope, ["Bearer"])
    assert await challenges(scope) == [b"Bearer"]


async def test_a_way_to_the_login_page_is_no_challenge(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.ROOT_URLCONF = __name__
    scope = http(headers=[(b"host", b"testserver")])
    assert await challenges(scope, raise_exception=False) == []
