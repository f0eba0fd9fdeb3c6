"""Groups whose messages the channel layer keeps for a while."""

from collections.abc import Mapping
from typing import Any

from channels.consumer import hook
from channels.generic.sse import AsyncSseConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from django.http import HttpRequest, JsonResponse, QueryDict

# begin settings
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {
            "history": {"room.*": {"size": 200, "age": 600}},
        },
    },
}
# end of settings


class Room(AsyncJsonWebsocketConsumer):
    """A room whose page goes on where it was."""

    async def connect(self) -> None:
        self.room = f"room.{self.scope['url_route']['kwargs']['name']}"
        query = QueryDict(self.scope["query_string"])
        await self.join_group(self.room, after=query.get("after"))
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        message = {"type": "room.line", "text": str(content["text"])}
        await self.channel_layer.group_send(self.room, message)

    async def room_line(self, event: Mapping[str, Any]) -> None:
        await self.send_json({"text": event["text"], "position": event["position"]})


class Ticker(AsyncSseConsumer):
    """The same for server-sent events."""

    async def connect(self) -> None:
        await self.join_group("room.ticker", after=self.last_event_id)

    async def room_line(self, event: Mapping[str, Any]) -> None:
        await self.send_event(event["text"], id=event["position"])


class Board(Room):
    """A room whose page loads everything again if it has missed too much."""

    @hook
    async def missed(self, group: str | None) -> None:
        await self.send_json({"reload": True})


async def latest(request: HttpRequest) -> JsonResponse:
    """Show the last ten lines of a room, and where a page goes on."""
    layer = get_channel_layer()
    assert layer is not None
    history = await layer.group_history("room.tea", limit=10)
    lines = [message["text"] for message in history.messages]
    return JsonResponse({"lines": lines, "position": history.position})
