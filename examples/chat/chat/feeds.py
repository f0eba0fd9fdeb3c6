"""What the site does with a member's HTTP requests that wait for messages."""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from channels.generic.http import AsyncHttpConsumer
from channels.generic.sse import AsyncSseConsumer
from django.conf import settings
from django.db.models import QuerySet

from chat.forms import PositionForm
from chat.models import HISTORY, Message
from chat.saying import FEED, room_group

__all__ = ["FeedConsumer", "PollConsumer"]

logger = logging.getLogger("chat.feeds")

# Messages that are read from the database at a time.
BATCH = 100


async def read_after(messages: QuerySet[Message], last: int) -> list[Message]:
    """Return the messages that come after the one with this id, the oldest ones first."""
    return [message async for message in messages.filter(id__gt=last).order_by("id")[:BATCH]]


async def find_start(messages: QuerySet[Message], last: int | None) -> int:
    """Return the id after which to begin: the client's last one, or that before the history."""
    if last is None:
        return await newest_first(messages)[HISTORY:].afirst() or 0
    # Not beyond what there is: the database may be another one than the client remembers.
    return min(last, await newest_first(Message.objects.all()).afirst() or 0)


def newest_first(messages: QuerySet[Message]) -> QuerySet[Message, int]:
    """Return the ids of the messages."""
    return messages.order_by("-id").values_list("id", flat=True)


# A stream does not end with the login, as the WebSockets do. So it ends after a while, and the
# browser, which asks for it again by itself, is let in if the login still holds.
class FeedConsumer(AsyncSseConsumer, response_timeout=settings.FEED_SECONDS):
    """Send one member what is said in all rooms, as a stream of events."""

    groups = [FEED]
    name = ""

    async def connect(self) -> None:
        """Find out what the browser has already, and send the rest."""
        query = dict(parse_qsl(self.scope["query_string"].decode(errors="replace")))
        # The header is the browser's own, the parameter the page's.
        form = PositionForm({"after": self.last_event_id or query.get("after")})
        # A program may send anything. What is no id is as good as none.
        last = form.cleaned_data["after"] if form.is_valid() else None
        self.last = await find_start(Message.objects.all(), last)
        self.name = self.scope["user"].get_username()
        logger.info("%s follows the feed, after message %s", self.name, self.last)
        # No event yet. The browser remembers the id, and not to wait too long if it must come back.
        await self.send_event(id=self.last, retry=1000)
        await self.catch_up()

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """Send what somebody wrote, unless it has been sent together with what came before it."""
        if event["message"]["id"] > self.last:
            await self.catch_up()

    async def catch_up(self) -> None:
        """Send all that the browser does not have, in the order of the ids."""
        more = True
        while more:
            messages = await read_after(Message.objects.all(), self.last)
            for message in messages:
                await self.send_event(message.as_json(), id=message.pk)
                self.last = message.pk
            more = len(messages) == BATCH

    async def disconnect(self) -> None:
        """Note that this is over: the browser has left, or the stream has been open long enough."""
        if self.name:
            logger.info("%s no longer follows the feed", self.name)


class PollConsumer(AsyncHttpConsumer, response_timeout=settings.POLL_SECONDS):
    """Answer with what a client does not have of a room, as soon as there is anything."""

    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}

    async def get(self, body: bytes) -> None:
        """Answer at once if there is something, or leave the request open until there is."""
        room = self.scope["url_route"]["kwargs"]["room"]
        form = PositionForm(dict(parse_qsl(self.scope["query_string"].decode(errors="replace"))))
        if not form.is_valid():
            errors = json.dumps({"errors": form.errors.get_json_data()})
            await self.send_response(400, errors.encode(), headers=self.headers)
            return
        self.messages = Message.objects.filter(room=room)
        self.last = await find_start(self.messages, form.cleaned_data["after"])
        # Join first: what is written while the database is asked then waits for its turn.
        await self.join_group(room_group(room))
        if newer := await read_after(self.messages, self.last):
            await self.send_response(200, self.encode(newer), headers=self.headers)
        else:
            # The body follows. Until then, the consumer goes on without this method.
            await self.send_headers(headers=self.headers)

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """End the response with what somebody wrote meanwhile."""
        if newer := await read_after(self.messages, self.last):
            await self.send_body(self.encode(newer))

    async def http_response_timeout(self, message: Mapping[str, Any]) -> None:
        """End the response without anything, before something on the way takes it for dead."""
        await self.send_body(self.encode([]))

    def encode(self, messages: list[Message]) -> bytes:
        """Return the body of a response."""
        return json.dumps({"messages": [message.as_json() for message in messages]}).encode()
