"""Rooms with typed messages, as in the documentation of chanx."""

from typing import Any, Literal

from channels.auth import AuthMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from chanx.channels.authenticator import DjangoAuthenticator
from chanx.channels.routing import include, path, re_path
from chanx.channels.websocket import AsyncJsonWebsocketConsumer
from chanx.core.decorators import channel, event_handler, ws_handler
from chanx.core.topic import Topic
from chanx.messages.base import BaseMessage
from chanx.messages.incoming import PingMessage
from chanx.messages.outgoing import PongMessage
from pydantic import BaseModel
from rest_framework.permissions import IsAuthenticated

#: What happened beside the messages.
EVENTS: list[Any] = []


class Text(BaseModel):
    text: str


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: Text


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: Text


class Fail(BaseMessage):
    action: Literal["fail"] = "fail"
    payload: None = None


class Move(BaseMessage):
    action: Literal["move"] = "move"
    payload: Text


class News(BaseMessage):
    action: Literal["news"] = "news"
    payload: Text


class Leave(BaseMessage):
    action: Literal["leave"] = "leave"
    payload: None = None


@channel(name="room")
class RoomConsumer(AsyncJsonWebsocketConsumer[News]):
    channel_layer_alias = "default"
    groups = ["rooms"]

    async def post_authentication(self) -> None:
        EVENTS.append(("path", self.scope["path"], dict(self.url_params)))

    async def disconnect(self, code: int) -> None:
        EVENTS.append(("left", code, sorted(self.groups)))

    @ws_handler(output_type=PongMessage)
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(output_type=Said)
    async def handle_say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload))

    @ws_handler
    async def handle_fail(self, message: Fail) -> None:
        raise RuntimeError("a secret of the server")

    @ws_handler
    async def handle_move(self, message: Move) -> None:
        await self.join_group(message.payload.text)

    @ws_handler
    async def handle_leave(self, message: Leave) -> None:
        await self.close(4000)

    @event_handler(output_type=News)
    async def handle_news(self, event: News) -> News:
        return event


class Members(DjangoAuthenticator):
    permission_classes = [IsAuthenticated]


@channel(name="club")
class ClubConsumer(RoomConsumer):
    authenticator_class = Members
    groups = ["club"]


class Price(BaseMessage):
    action: Literal["price"] = "price"
    payload: Text


class Prices(Topic[Price]):
    pattern = "prices:{symbol}"

    @event_handler(output_type=Price)
    async def handle_price(self, event: Price) -> Price:
        return event


@channel(name="market")
class MarketConsumer(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "default"
    topics = [Prices]


rooms = URLRouter([path("<slug:room>/", RoomConsumer.as_asgi())])
application = ProtocolTypeRouter(
    {
        "websocket": SessionMiddlewareStack(
            AuthMiddleware(
                URLRouter(
                    [
                        path("rooms/", include(rooms)),
                        path("club/", ClubConsumer.as_asgi()),
                        re_path("^market/$", MarketConsumer.as_asgi()),
                    ]
                )
            )
        )
    }
)
urlpatterns: list[Any] = []
