"""Requests that are held until there is a message."""

import json
from collections.abc import Mapping
from typing import Any

from channels.generic.http import AsyncHttpConsumer
from django.http import QueryDict

from chat.models import Message


class NextMessage(AsyncHttpConsumer):
    """Answer with the next message to the group."""

    groups = ["chat"]

    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=[(b"Content-Type", b"application/json")])
        await self.send_body(b"", more_body=True)

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        await self.send_body(json.dumps(event).encode())


class NewMessages(AsyncHttpConsumer, response_timeout=25):
    """Answer with a room's messages after `?after=`; if there are none, hold the request."""

    def groups(self) -> list[str]:
        return [f"chat.{self.scope['url_route']['kwargs']['room']}"]

    async def get(self, body: bytes) -> None:
        after = QueryDict(self.scope["query_string"]).get("after", "")
        self.after = int(after) if after.isdecimal() and len(after) < 19 else 0
        room = self.scope["url_route"]["kwargs"]["room"]
        newer = Message.objects.filter(room=room, pk__gt=self.after).order_by("pk")[:100]
        messages = [message.as_json() async for message in newer]
        await self.send_headers(headers={"Content-Type": "application/json"})
        if messages:
            await self.send_body(json.dumps(messages).encode())

    async def chat_message(self, event: Mapping[str, Any]) -> None:
        if event["message"]["id"] > self.after:
            await self.send_body(json.dumps([event["message"]]).encode())

    async def http_response_timeout(self, message: Mapping[str, Any]) -> None:
        await self.send_body(b"[]")
