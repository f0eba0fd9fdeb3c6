"""Consumers in groups."""

from collections.abc import Mapping
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer


class News(AsyncWebsocketConsumer):
    """Pass on the messages of a group."""

    groups = ["news"]

    async def news_item(self, event: Mapping[str, Any]) -> None:
        await self.send(text_data=event["text"])


class Ward(AsyncWebsocketConsumer):
    """Join the group that the path names."""

    def groups(self) -> list[str]:
        return [f"ward.{self.scope['url_route']['kwargs']['number']}"]

    async def ward_call(self, event: Mapping[str, Any]) -> None:
        await self.send(text_data=event["text"])


class Switch(AsyncWebsocketConsumer):
    """Move from one group to another while connected."""

    async def connect(self) -> None:
        self.station = "station.1"
        await self.join_group(self.station)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.leave_group(self.station)
        self.station = f"station.{text_data}"
        await self.join_group(self.station)
        await self.send(text_data=f"listening to {self.station}")

    async def station_plays(self, event: Mapping[str, Any]) -> None:
        await self.send(text_data=event["title"])
