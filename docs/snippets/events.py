"""Streams of server-sent events."""

from collections.abc import Mapping
from typing import Any

from channels.auth import AuthMiddlewareStack, QueryToken, TokenAuthMiddleware, login_required
from channels.generic.sse import AsyncSseConsumer
from channels.http import AsgiHandler
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import QueryDict
from django.urls import path, re_path

from chat.models import Message
from docs.snippets.access import Tickets


class Prices(AsyncSseConsumer):
    """Send each price that changes."""

    groups = ["prices"]

    async def price_changed(self, event: Mapping[str, Any]) -> None:
        await self.send_event({"item": event["item"], "price": event["price"]}, event="price")


class Feed(AsyncSseConsumer):
    """Send the messages of a room, and first those that this browser has missed."""

    def groups(self) -> list[str]:
        return [f"chat.{self.scope['url_route']['kwargs']['room']}"]

    async def connect(self) -> None:
        self.told: set[int] = set()
        # The browser sends the header by itself; the page puts the id into the address.
        last = self.last_event_id or QueryDict(self.scope["query_string"]).get("after", "")
        if last.isdecimal() and len(last) < 19:
            room = self.scope["url_route"]["kwargs"]["room"]
            missed = Message.objects.filter(room=room, pk__gt=int(last)).order_by("pk")
            async for message in missed:
                self.told.add(message.pk)
                await self.send_event(message.as_json(), id=message.pk)

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        message = event["message"]
        if message["id"] not in self.told:
            await self.send_event(message, id=message["id"])


class PublicPrices(Prices):
    """Let pages of all sites follow the prices."""

    async def send_headers(
        self, *, status: int = 200, headers: Any = None, flush: bool = False
    ) -> None:
        headers = [*(headers or ()), ("Access-Control-Allow-Origin", "*")]
        await super().send_headers(status=status, headers=headers, flush=flush)


# begin routes
members: Any = AuthMiddlewareStack(login_required(Feed.as_asgi(), raise_exception=True))

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("prices/", Prices.as_asgi()),
                path("rooms/<slug:room>/feed/", members),
                re_path(r"", AsgiHandler()),
            ]
        ),
    }
)
# end of routes

# begin tickets
by_ticket = TokenAuthMiddleware(Feed.as_asgi(), Tickets(), [QueryToken("ticket")], required=True)
# end of tickets
