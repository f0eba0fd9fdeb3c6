"""Async and sync WebSocket consumers."""

import os
from typing import Any

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.conf import settings
from django.db import connections

from .models import Entry

__all__ = ["Desk", "Room"]


def write(text: str) -> None:
    """Write to every database."""
    for alias in connections:
        Entry.objects.using(alias).create(text=text)


class Desk(AsyncJsonWebsocketConsumer):
    """Stores entries, and reports the process that it runs in."""

    async def connect(self) -> None:
        await self.accept()
        user = self.scope["user"]
        await self.send_json([settings.LANGUAGE_CODE, user.get_username()])

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "where":
            names = [str(connections[alias].settings_dict["NAME"]) for alias in connections]
            await self.send_json([os.getpid(), *names])
        else:
            await database_sync_to_async(write)(content)
            await self.send_json(await Entry.objects.acount())


class Room(JsonWebsocketConsumer):
    """Sends everybody what anybody writes."""

    groups = ["room"]

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        write(content)
        send = async_to_sync(self.channel_layer.group_send)
        send("room", {"type": "written", "text": content})

    def written(self, event: Any) -> None:
        self.send_json(event["text"])
