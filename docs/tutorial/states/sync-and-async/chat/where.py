"""Consumers that show where their code runs."""

import time
from threading import current_thread

from channels.db import database_sync_to_async
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    JsonWebsocketConsumer,
)


def quick():
    return current_thread().name


def slow():
    time.sleep(2)  # Stands for a large file, or an old library.
    return current_thread().name


class AsyncWhere(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        if content == "quick":
            thread = quick()
        elif content == "thread":
            thread = await database_sync_to_async(slow)()
        else:
            thread = slow()  # Wrong: everybody waits.
        await self.send_json([content, thread])


class SyncWhere(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        thread = quick() if content == "quick" else slow()
        self.send_json([content, thread])
