"""Who is in a group."""

from collections.abc import Mapping
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from django.http import HttpRequest, JsonResponse


class Lobby(AsyncJsonWebsocketConsumer):
    """Show each page who else is here."""

    async def connect(self) -> None:
        user = self.scope["user"]
        await self.accept()
        await self.join_group("lobby", member={"id": user.pk, "name": user.get_username()})
        await self.send_json({"here": await self.channel_layer.group_members("lobby")})

    async def group_joined(self, event: Mapping[str, Any]) -> None:
        await self.send_json({"joined": event["member"]})

    async def group_left(self, event: Mapping[str, Any]) -> None:
        await self.send_json({"left": event["member"]})


def who_is_here(request: HttpRequest) -> JsonResponse:
    """Answer the same question in a view."""
    layer = get_channel_layer()
    assert layer is not None
    return JsonResponse({"here": layer.group_members_sync("lobby")})
