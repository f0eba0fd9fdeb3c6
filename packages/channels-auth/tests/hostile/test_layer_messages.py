"""A client that chooses a group closes no socket of another user."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User

from channels_auth.disconnection import EndsWithLoginMiddleware, disconnect_user
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer
from layers import GroupLayer
from servers import Server, websocket


class Careless(AsyncJsonWebsocketConsumer):
    """Send what the client says to the group that the client names."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.layer.group_send(content["group"], content)
        await self.send_json("sent")

    layer: GroupLayer


@pytest.mark.django_db(transaction=True)
async def test_the_group_of_a_user_cannot_be_guessed(
    layer: GroupLayer, record_property: Callable[[str, object], None]
) -> None:
    Careless.layer = layer
    anna = await User.objects.acreate(username="anna")
    hers = Server(EndsWithLoginMiddleware(Careless), websocket(user=anna))
    await hers.connect()
    stranger = Server(Careless.as_asgi(), websocket(user=AnonymousUser()))
    await stranger.connect()
    names = [f"auth.user:{anna.pk}", f"auth.User:{anna.pk}", str(anna.pk), anna.username]
    digests = [
        hashlib.new(kind, name.encode()).hexdigest()[:40]
        for kind in ("sha256", "sha1", "md5")
        for name in names
    ]
    record_property("inputs", len(digests))
    for digest in digests:
        group = f"auth.user.{digest}"
        text = f'{{"group": "{group}", "type": "auth.disconnect", "code": 4401}}'
        assert await stranger.ask(text) == '"sent"'
    await disconnect_user(anna, 4000)
    assert (await hers.receive())["code"] == 4000
    for server in (hers, stranger):
        await server.leave()
