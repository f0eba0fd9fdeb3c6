"""The life of a connection, and ways to refuse one."""

from datetime import UTC, datetime
from typing import Any

from channels.consumer import hook
from channels.exceptions import DenyConnection, InvalidFrame
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from django.core.serializers.json import DjangoJSONEncoder


class Echo(AsyncWebsocketConsumer):
    """Send each frame back."""

    async def connect(self) -> None:
        self.received = 0
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.received += 1
        await self.send(text_data=text_data, bytes_data=bytes_data)

    async def disconnect(self, code: int) -> None:
        print(f"{self.received} frames, closed with {code} {self.close_reason}")


class SyncEcho(WebsocketConsumer):
    """Do the same in a thread."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class Members(AsyncWebsocketConsumer):
    """Accept only clients that send the right key."""

    async def connect(self) -> None:
        if self.scope["query_string"] != b"key=sesame":
            await self.deny(401, {"www-authenticate": "Key"}, "Bring ?key= along.")
        else:
            await self.accept()


class Room(AsyncWebsocketConsumer):
    """Refuse clients when the room is full."""

    capacity = 20

    async def connect(self) -> None:
        await self.take_a_seat()
        await self.accept()

    async def take_a_seat(self) -> None:
        if not self.capacity:
            raise DenyConnection(status=503, reason="The room is full.")


class Versioned(AsyncWebsocketConsumer):
    """Choose the newest format that the client supports."""

    async def connect(self) -> None:
        for version in ("chat.v2", "chat.v1"):
            if version in self.scope["subprotocols"]:
                await self.accept(subprotocol=version)
                return
        await self.close(4406, "no common version")


class Clock(AsyncJsonWebsocketConsumer, json_encoder=DjangoJSONEncoder):
    """Answer with a value that plain JSON cannot encode."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"asked": content, "now": datetime.now(UTC)})


class Patient(AsyncJsonWebsocketConsumer, max_message_size=4096):
    """Explain a bad frame instead of closing the connection."""

    @hook
    async def invalid_frame(self, error: InvalidFrame) -> None:
        await self.send_json({"error": str(error), "code": error.code})


class Reporting(AsyncWebsocketConsumer):
    """Report elsewhere, too, that a handler has failed."""

    failures: list[str] = []

    @hook
    def report_exception(self, error: Exception, message: Any) -> None:
        super().report_exception(error, message)
        self.failures.append(f"{self.scope['path']}: {type(error).__name__}")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=str(1 / int(text_data or 0)))
