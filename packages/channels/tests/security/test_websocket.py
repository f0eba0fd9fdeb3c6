from typing import assert_type
from unittest import mock

import channels.security.websocket
from channels.layers import InMemoryChannelLayer
from channels.security.websocket import (
    AllowedHostsOriginValidator,
    OriginValidator,
    WebsocketDenier,
)

import channels_core.security.websocket
from channels_core.typing import Receive, Scope, Send
from client import Client


async def accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def answer(origin: bytes) -> str:
    application = assert_type(AllowedHostsOriginValidator(accept), OriginValidator)
    client = Client(application, headers=[(b"origin", origin)])
    return str((await client.connect())["type"])


def test_it_is_the_module_of_the_core() -> None:
    assert channels.security.websocket is channels_core.security.websocket


async def test_the_allowed_hosts_are_accepted() -> None:
    assert await answer(b"https://example.com") == "websocket.accept"
    assert await answer(b"https://example.org") == "websocket.close"


async def test_a_denial_opens_no_channel() -> None:
    with mock.patch.object(InMemoryChannelLayer, "new_channel") as new_channel:
        assert await answer(b"https://example.org") == "websocket.close"
    new_channel.assert_not_called()


async def test_the_denier_refuses_everybody() -> None:
    assert (await Client(WebsocketDenier.as_asgi()).connect())["type"] == "websocket.close"
