"""Consumers of a game, in a strictly typed program."""

from typing import Any, Literal, TypedDict, assert_type, cast

from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import DenyConnection, StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import BaseChannelLayer
from channels.typing import (
    HttpRequest,
    Scope,
    UrlRoute,
    WebsocketConnect,
    WebsocketDisconnect,
    WebsocketReceive,
    WebsocketScope,
)


class Move(TypedDict):
    """The content that a player's page sends."""

    square: int


class MoveMade(TypedDict):
    """The message to all players of a game over the channel layer."""

    type: Literal["move.made"]
    square: int


@database_sync_to_async
def names_of(game: str, *, limit: int = 10) -> list[str]:
    return [game] * limit


class Board(AsyncJsonWebsocketConsumer[Move]):
    groups = ["boards"]

    async def connect(self) -> None:
        assert_type(self.scope, dict[str, Any])
        assert_type(self.channel_name, str)
        assert_type(self.channel_layer, BaseChannelLayer)
        assert_type(self.close_code, int | None)
        assert_type(self.is_open, bool)
        scope = cast(WebsocketScope, self.scope)
        assert_type(scope["path"], str)
        assert_type(scope.get("url_route"), UrlRoute | None)
        assert_type(scope.get("cookies"), dict[str, str] | None)
        assert_type(await names_of("chess", limit=2), list[str])
        assert_type(await self.count_of("chess"), int)
        await self.accept("game.v1", headers=[("x-game", "chess")])

    @database_sync_to_async
    def count_of(self, game: str) -> int:
        return len(game)

    async def receive_json(self, content: Move, **kwargs: Any) -> None:
        event: MoveMade = {"type": "move.made", "square": content["square"]}
        await self.channel_layer.group_send("boards", event)

    async def move_made(self, event: MoveMade) -> None:
        await self.send_json({"square": event["square"]}, close=False)

    async def disconnect(self, code: int) -> None:
        assert_type(await self.decode_json("{}"), Move)
        assert_type(await self.encode_json({}), str)


class Untyped(AsyncJsonWebsocketConsumer):
    """Names no type of content, which is allowed."""

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        assert_type(await self.decode_json("{}"), Any)
        await self.send_json(content, close=4000)


class SyncBoard(JsonWebsocketConsumer[Move]):
    def receive_json(self, content: Move, **kwargs: Any) -> None:
        assert_type(self.decode_json("{}"), Move)
        self.channel_layer.group_send_sync("boards", {"type": "move.made", **content})

    def move_made(self, event: MoveMade) -> None:
        self.send_json({"square": event["square"]})


class Watcher(AsyncWebsocketConsumer):
    async def websocket_connect(self, message: WebsocketConnect) -> None:
        assert_type(message["type"], Literal["websocket.connect"])
        await super().websocket_connect(message)

    async def websocket_receive(self, message: WebsocketReceive) -> None:
        assert_type(message.get("text"), str | None)
        await super().websocket_receive(message)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data or "", bytes_data, close=True)

    async def websocket_disconnect(self, message: WebsocketDisconnect) -> None:
        assert_type(message["code"], int)
        await super().websocket_disconnect(message)


class Doorkeeper(WebsocketConsumer):
    def connect(self) -> None:
        if not self.scope["user"].is_authenticated:
            raise DenyConnection
        self.join_group("doors")
        self.accept()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data, bytes_data)


class Notes(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, body, headers=[(b"content-type", b"text/plain")])

    async def http_request(self, message: HttpRequest) -> None:
        assert_type(message["body"], bytes)
        await super().http_request(message)


class Scores(AsyncConsumer):
    async def score_add(self, event: MoveMade) -> None:
        await self.send({"type": "score.added", "square": event["square"]})
        raise StopConsumer


class SyncScores(SyncConsumer):
    def score_add(self, event: MoveMade) -> None:
        self.send({"type": "score.added", "square": event["square"]})


def player_of(scope: Scope) -> str:
    return str(scope["user"])
