import pickle
from types import new_class
from typing import Any, Generic, TypedDict, TypeVar, get_args

import pytest

from channels_core.connection import class_of
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer

MoveT = TypeVar("MoveT")


class Move(TypedDict):
    square: int


class Game(JsonWebsocketConsumer[Move]):
    def receive_json(self, content: Move, **kwargs: Any) -> None:
        self.send_json({"moved": content["square"]})

    def move_made(self, event: dict[str, Any]) -> None: ...


class AsyncGame(AsyncJsonWebsocketConsumer[Move]):
    async def receive_json(self, content: Move, **kwargs: Any) -> None:
        await self.send_json({"moved": content["square"]})

    async def move_made(self, event: dict[str, Any]) -> None: ...


class OpenGame(JsonWebsocketConsumer[MoveT], Generic[MoveT]): ...


class AsyncOpenGame(AsyncJsonWebsocketConsumer[MoveT], Generic[MoveT]): ...


class Chess(OpenGame[Move]): ...


class AsyncChess(AsyncOpenGame[Move]): ...


class Plain(JsonWebsocketConsumer): ...


class AsyncPlain(AsyncJsonWebsocketConsumer): ...


# Any: type checkers know nothing of what is asked for here.
NAMED: list[Any] = [Game, AsyncGame]
OPEN: list[Any] = [OpenGame, AsyncOpenGame]
CLOSED: list[Any] = [Chess, AsyncChess]
PLAIN: list[Any] = [Plain, AsyncPlain]
JSON: list[Any] = [JsonWebsocketConsumer, AsyncJsonWebsocketConsumer]


@pytest.mark.parametrize(("named", "json_consumer"), list(zip(NAMED, JSON, strict=True)))
def test_a_class_that_names_the_type_is_a_plain_subclass(named: Any, json_consumer: Any) -> None:
    assert named.__bases__ == (json_consumer,)
    assert named.as_asgi().consumer_class is named
    assert pickle.loads(pickle.dumps(named)) is named
    assert get_args(named.__orig_bases__[0]) == (Move,)


@pytest.mark.parametrize(("named", "plain"), list(zip(NAMED, PLAIN, strict=True)))
def test_messages_reach_the_same_methods(named: Any, plain: Any) -> None:
    assert class_of(named).handlers == {**class_of(plain).handlers, "move_made": True}


@pytest.mark.parametrize(("closed", "left_open"), list(zip(CLOSED, OPEN, strict=True)))
def test_a_class_may_leave_the_type_open_for_others(closed: Any, left_open: Any) -> None:
    assert closed.__bases__ == (left_open,)
    assert left_open.__parameters__ == (MoveT,)
    assert get_args(closed.__orig_bases__[0]) == (Move,)


@pytest.mark.parametrize("json_consumer", JSON)
def test_the_class_with_its_type_serves_as_itself(json_consumer: Any) -> None:
    assert json_consumer[Move].as_asgi().consumer_class is json_consumer


@pytest.mark.parametrize("json_consumer", JSON)
@pytest.mark.parametrize("comes_first", [False, True])
def test_a_program_may_be_generic_in_something_else(json_consumer: Any, comes_first: bool) -> None:
    in_moves: Any = Generic
    generic = in_moves[MoveT]
    bases = (generic, json_consumer) if comes_first else (json_consumer, generic)
    consumer: Any = new_class("Consumer", bases)
    assert consumer[Move].__origin__ is consumer
    assert new_class("Closed", (consumer[Move],)).__bases__ == (consumer,)
