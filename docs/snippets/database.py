"""Consumers that use the database, in three ways."""

from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.db import transaction

from chat.models import Message


class Counter(AsyncJsonWebsocketConsumer):
    """Use Django's asynchronous ORM."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        number = await Message.objects.filter(room=content["room"]).acount()
        await self.send_json({"number": number})


class Mover(AsyncJsonWebsocketConsumer):
    """Run a transaction in a thread."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        number = await self.move(content["old"], content["new"])
        await self.send_json({"moved": number})

    @database_sync_to_async
    def move(self, old: str, new: str) -> int:
        with transaction.atomic():
            messages = Message.objects.select_for_update().filter(room=old)
            return messages.update(room=new)


class SyncCounter(JsonWebsocketConsumer):
    """Run every handler in a thread."""

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        number = Message.objects.filter(room=content["room"]).count()
        self.send_json({"number": number})
