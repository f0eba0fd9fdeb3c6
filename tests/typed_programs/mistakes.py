"""Mistakes that type checkers find; an expected mistake that is not found is an error."""

from typing import Any

from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter
from channels.testing import HttpCommunicator, WebsocketCommunicator

from .consumers import Board, Move, names_of


class ContentOfAnotherType(AsyncJsonWebsocketConsumer[Move]):
    async def receive_json(self, content: int, **kwargs: Any) -> None:  # type: ignore[override] # no Move
        await self.send_json(content)


class AnotherColour(WebsocketConsumer):
    async def connect(self) -> None:  # type: ignore[override] # as the other consumers have it
        self.accept()


class WrongFrames(AsyncWebsocketConsumer):
    channel_layer_alias = 1  # type: ignore[assignment] # no alias

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=1)  # type: ignore[arg-type] # no text
        await self.close("done")  # type: ignore[arg-type] # no code
        await self.accept(headers=1)  # type: ignore[arg-type] # no headers
        await self.deny("403")  # type: ignore[arg-type] # no status
        await self.channel_layer.group_add("boards", 1)  # type: ignore[arg-type] # no name
        self.channel_layer.no_such_method()  # type: ignore[attr-defined] # none of the base


async def mistakes() -> None:
    await names_of(1)  # type: ignore[arg-type] # no str
    await names_of("chess", limits=1)  # type: ignore[call-arg] # no such parameter
    get_channel_layer().group_send("boards", {})  # type: ignore[union-attr] # or None
    board = WebsocketCommunicator(Board.as_asgi(), 1)  # type: ignore[arg-type] # no path
    await board.connect(timeout="1")  # type: ignore[arg-type] # no number
    page = HttpCommunicator(Board.as_asgi(), "GET")  # type: ignore[call-arg] # no path
    (await page.get_response())["status"].upper()  # type: ignore[attr-defined] # a number
    ProtocolTypeRouter([Board.as_asgi()])  # type: ignore[arg-type] # no mapping
