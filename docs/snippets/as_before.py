"""Ways to restore the behaviour of earlier releases."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from channels.consumer import get_handler_name, hook
from channels.db import aclose_old_connections
from channels.exceptions import InvalidFrame
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels.sessions import SessionMiddleware


class Lenient(AsyncJsonWebsocketConsumer):
    """Accepts what Python's json module accepts: `NaN`, and numbers of any size."""

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        return json.loads(text_data)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send(repr(content))


class Raising(AsyncJsonWebsocketConsumer):
    """Raises an exception when a frame cannot be read."""

    @hook
    async def invalid_frame(self, error: InvalidFrame) -> None:
        raise ValueError(str(error)) from error


class Strict(AsyncWebsocketConsumer):
    """Raises an exception when a message of the channel layer has no handler."""

    async def dispatch(self, message: Any) -> None:
        if not hasattr(self, get_handler_name(message)):
            raise ValueError(f"No handler for message type {message['type']}")
        await super().dispatch(message)


class ClosedFromOutside(AsyncWebsocketConsumer):
    """Lets other code close it: `{"type": "please.close", "code": 4000}`."""

    async def please_close(self, event: dict[str, Any]) -> None:
        await self.close(event["code"])


class Refreshing(AsyncWebsocketConsumer):
    """Closes old database connections before each message, used or not."""

    async def dispatch(self, message: Any) -> None:
        await aclose_old_connections()
        await super().dispatch(message)


class WorkThatGoesOn(AsyncHttpConsumer):
    """Finishes its work even if the client has left."""

    tasks: set[asyncio.Task[None]] = set()

    async def handle(self, body: bytes) -> None:
        task = asyncio.create_task(self.work(body))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        await asyncio.shield(task)
        await self.send_response(200, b"done")

    def work(self, body: bytes) -> Coroutine[Any, Any, None]:
        raise NotImplementedError


class CookiesOverHttpOnly(SessionMiddleware):
    """Sets no cookie with the answer to a WebSocket's handshake."""

    save_message_types = cookie_response_message_types = ("http.response.start",)
