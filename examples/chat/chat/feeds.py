"""HTTP consumers that wait for messages: a stream of events, and a long poll.

See docs/topics/server-sent-events.md and docs/topics/long-polling.md.
"""

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

# How many messages one query reads.
BATCH = 100


async def read_after(messages: QuerySet[Message], last: int) -> list[Message]:
    """Return the messages after the one with this id, oldest first."""
    return [message async for message in messages.filter(id__gt=last).order_by("id")[:BATCH]]


async def find_start(messages: QuerySet[Message], last: int | None) -> int:
    """Return the id to start after: the client's last one, or the one before the history."""
    if last is None:
        return await newest_first(messages)[HISTORY:].afirst() or 0
    # At most the newest id: the database may be a different one than the client remembers.
    return min(last, await newest_first(Message.objects.all()).afirst() or 0)


def newest_first(messages: QuerySet[Message]) -> QuerySet[Message, int]:
    """Return the ids of the messages, newest first."""
    return messages.order_by("-id").values_list("id", flat=True)


# Logging out closes WebSockets, but not this stream. So the stream ends after a while. The browser
# reconnects by itself, and is accepted only if the login is still valid.
class FeedConsumer(AsyncSseConsumer, response_timeout=settings.FEED_SECONDS):
    """Send one member the messages of all rooms, as a stream of events."""

    groups = [FEED]
    name = ""

    async def connect(self) -> None:
        """Find out what the browser already has, and send the rest."""
        query = dict(parse_qsl(self.scope["query_string"].decode(errors="replace")))
        # The browser sends the header when it reconnects; the page sends the parameter.
        form = PositionForm({"after": self.last_event_id or query.get("after")})
        # A client may send anything. An invalid id counts as none.
        last = form.cleaned_data["after"] if form.is_valid() else None
        self.last = await find_start(Message.objects.all(), last)
        self.name = self.scope["user"].get_username()
        logger.info("%s follows the feed, after message %s", self.name, self.last)
        # Not an event yet: it tells the browser the id, and how soon to reconnect.
        await self.send_event(id=self.last, retry=1000)
        await self.catch_up()

    async def feed_message(self, event: Mapping[str, Any]) -> None:
        """Send what somebody wrote, unless an earlier query has already found it."""
        if event["id"] > self.last:
            await self.catch_up()

    async def catch_up(self) -> None:
        """Send everything that the browser does not have, in the order of the ids."""
        more = True
        while more:
            messages = await read_after(Message.objects.all(), self.last)
            for message in messages:
                await self.send_event(message.as_json(), id=message.pk)
                self.last = message.pk
            more = len(messages) == BATCH

    async def disconnect(self) -> None:
        """Log the end: the browser has left, or the stream has reached its time limit."""
        if self.name:
            logger.info("%s no longer follows the feed", self.name)


class PollConsumer(AsyncHttpConsumer, response_timeout=settings.POLL_SECONDS):
    """Respond with a room's new messages as soon as there are any."""

    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}

    async def get(self, body: bytes) -> None:
        """Respond at once if there are messages, or keep the request open until there are."""
        room = self.scope["url_route"]["kwargs"]["room"]
        form = PositionForm(dict(parse_qsl(self.scope["query_string"].decode(errors="replace"))))
        if not form.is_valid():
            errors = json.dumps({"errors": form.errors.get_json_data()})
            await self.send_response(400, errors.encode(), headers=self.headers)
            return
        self.messages = Message.objects.filter(room=room)
        self.last = await find_start(self.messages, form.cleaned_data["after"])
        # Join first, so that a message written during the query is not missed.
        await self.join_group(room_group(room))
        if newer := await read_after(self.messages, self.last):
            await self.send_response(200, self.encode(newer), headers=self.headers)
        else:
            # The body follows later. Until then, the consumer stays after this method has returned.
            await self.send_headers(headers=self.headers)

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        """End the response with the new messages."""
        if newer := await read_after(self.messages, self.last):
            await self.send_body(self.encode(newer))

    async def http_response_timeout(self, message: Mapping[str, Any]) -> None:
        """End the response without a message, before a proxy closes it as idle."""
        await self.send_body(self.encode([]))

    def encode(self, messages: list[Message]) -> bytes:
        """Return the body of a response."""
        return json.dumps({"messages": [message.as_json() for message in messages]}).encode()
