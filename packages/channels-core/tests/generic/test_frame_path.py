"""The short way of a frame, which calls less than the methods do, but does the same."""

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from channels_core._consumer_classes import class_of
from channels_core._json import LARGE
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
from channels_core.typing import Message
from colours import both_colours, consumer
from fakes import Server, until


class Text(AsyncWebsocketConsumer):
    got: list[Any]

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        self.got.append((text_data, bytes_data))


class OnlyText(AsyncWebsocketConsumer):
    got: list[Any]

    async def receive(self, text_data: str) -> None:  # type: ignore[override] # a program's
        self.got.append(text_data)


class Failing(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        raise TypeError("of the program")


class Ordinary(AsyncWebsocketConsumer):
    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:  # type: ignore[override] # a program's
        """Return nothing to await."""


class OrdinaryFailing(AsyncWebsocketConsumer):
    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:  # type: ignore[override] # a program's
        [].append()  # type: ignore[call-arg] # a TypeError of its own


class Future(AsyncWebsocketConsumer):
    got: list[Any]

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> Any:
        future = asyncio.get_running_loop().create_future()
        if text_data == "fails":
            future.set_exception(TypeError("of a future"))
        else:
            self.got.append(text_data)
            future.set_result(None)
        return future


class Json(AsyncJsonWebsocketConsumer):
    got: list[Any]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.got.append((content, kwargs))


class JsonFuture(AsyncJsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(TypeError("of a future"))
        return future


class JsonOrdinary(AsyncJsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:  # type: ignore[override] # a program's
        """Return nothing to await."""


class JsonWithoutContent(AsyncJsonWebsocketConsumer):
    async def receive_json(self) -> None:  # type: ignore[override] # a program's
        """Take nothing."""


class Lines(Json):
    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        if not text_data:
            raise KeyError("of the program")
        return text_data.splitlines()


class Wide(Json):
    async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
        await super().receive(text_data, bytes_data, wide=True)


class Limited(Text, max_message_size=8): ...


class Slow(Text, max_messages_per_second=1): ...


KINDS = [Text, OnlyText, Failing, Ordinary, OrdinaryFailing, Future, Json, JsonFuture, JsonOrdinary,
         JsonWithoutContent, Lines, Wide, Limited, Slow]  # fmt: skip
CONTENTS: list[dict[str, Any]] = [
    {"text": "[1]"},
    {"text": ""},
    {"text": "fails"},
    {"text": "NaN"},
    {"text": "[" * 100_000},
    {"text": json.dumps(" " * LARGE)},
    {"text": 5},
    {"bytes": b"1"},
    {"text": None, "bytes": b"123456789"},
    {},
]


async def outcome(kind: type[AsyncWebsocketConsumer], state: str, way: Any, frame: Message) -> Any:
    """Return what a new consumer has got by a way, and which errors it has raised."""
    one: Any = kind()
    one.got = []
    one._channels_connection.socket.state = state
    raised: list[Any] = []
    # Two, since the first one reads the setting for the limit.
    for _ in range(2):
        try:
            rest = way(one, frame)
            if rest is not None:
                await rest
        except Exception as error:  # noqa: BLE001 - they are compared
            code = {key: value for key, value in vars(error).items() if key != "doc"}
            raised.append((type(error), str(error), code, type(error.__cause__)))
    return one.got, raised, one._channels_connection.socket.state


@pytest.mark.parametrize("state", ["open", "connecting", "closing"])
@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: str(content)[:20])
@pytest.mark.parametrize("kind", KINDS)
async def test_it_does_what_the_methods_do(
    kind: type[AsyncWebsocketConsumer], content: dict[str, Any], state: str
) -> None:
    def short(one: Any, frame: Message) -> Any:
        return one._channels_connection.pass_on(one, frame)

    frame = {"type": "websocket.receive", **content}
    expected = await outcome(kind, state, kind.websocket_receive, frame)
    assert await outcome(kind, state, short, frame) == expected


async def test_an_error_of_a_loads_that_a_test_has_replaced_is_the_programs_own() -> None:
    class Mine(ValueError):
        pass

    def short(one: Any, frame: Message) -> Any:
        return one._channels_connection.pass_on(one, frame)

    frame = {"type": "websocket.receive", "text": "1"}
    with patch("json.loads", side_effect=Mine("text")):
        expected = await outcome(Json, "open", Json.websocket_receive, frame)
        assert await outcome(Json, "open", short, frame) == expected
    assert [kind for kind, *_ in expected[1]] == [Mine, Mine]


def _replacement(name: str, seen: list[Any]) -> Callable[..., Any]:
    async def replaced(*args: Any, **kwargs: Any) -> Any:
        seen.append(name)
        return "decoded"

    return replaced


@pytest.mark.parametrize("where", ["class", "instance"])
@pytest.mark.parametrize("name", ["dispatch", "websocket_receive", "receive", "receive_json",
                                  "decode_json"])  # fmt: skip
async def test_a_method_that_is_replaced_while_the_connection_is_open_is_called(
    name: str, where: str
) -> None:
    made: list[Any] = []

    class Echo(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            made.append(self)
            await self.accept()

        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await self.send_json(content)

    seen: list[Any] = []
    server = Server(Echo.as_asgi())
    await server.connect()
    server.text("1")
    assert await server.reply() == [{"type": "websocket.send", "text": "1"}]
    place = Echo if where == "class" else made[0]
    with patch.object(place, name, _replacement(name, seen)):
        server.text("2")
        await until(lambda: bool(seen))
    server.text("3")
    await until(lambda: {"type": "websocket.send", "text": "3"} in server.received)
    assert seen == [name]
    assert {"type": "websocket.send", "text": "2"} not in server.received
    await server.leave()


async def test_a_programs_own_getattribute_is_asked() -> None:
    class Dynamic(Text):
        def __getattribute__(self, name: str) -> Any:
            return self.other if name == "websocket_receive" else super().__getattribute__(name)

        async def other(self, message: Message) -> None:
            await self.send(message["text"] * 2)

    server = Server(Dynamic.as_asgi())
    await server.connect()
    server.text("a")
    assert await server.reply() == [{"type": "websocket.send", "text": "aa"}]
    await server.leave()


async def test_a_handler_that_wraps_ours_is_called() -> None:
    class Wrapped(Text):
        @functools.wraps(AsyncWebsocketConsumer.websocket_receive)
        async def websocket_receive(self, message: Any) -> None:  # type: ignore[override] # as wrapped
            await self.send("wrapped")

    assert class_of(Wrapped).by_type["websocket.receive"] == ("websocket_receive", True, None)
    server = Server(Wrapped.as_asgi())
    await server.connect()
    server.text("a")
    assert await server.reply() == [{"type": "websocket.send", "text": "wrapped"}]
    await server.leave()


@both_colours
async def test_json_that_is_sent_ends_as_a_frame_does(colour: str) -> None:
    def receive_json(self: Any, content: Any, **kwargs: Any) -> Any:
        yield self.send_json(content, close=4001 if content == "close" else False)

    kind = consumer(colour, json=True, receive_json=receive_json)
    server = Server(kind.as_asgi())
    await server.connect()
    server.text('"a"', '"close"')
    assert await server.reply(3) == [
        {"type": "websocket.send", "text": '"a"'},
        {"type": "websocket.send", "text": '"close"'},
        {"type": "websocket.close", "code": 4001},
    ]
    await server.leave(4001)


@both_colours
async def test_json_that_finds_the_client_gone_ends_the_consumer_quietly(colour: str) -> None:
    codes: list[int] = []

    def receive_json(self: Any, content: Any, **kwargs: Any) -> Any:
        yield self.send_json(content)

    def disconnect(self: Any, code: int) -> Any:
        codes.append(code)
        yield self.send_json("too late")

    kind = consumer(colour, json=True, receive_json=receive_json, disconnect=disconnect)
    server = Server(kind.as_asgi())
    await server.connect()
    server.fault = OSError("gone")
    server.text("1")
    await server.leave(1001)
    assert codes == [1001]
    assert [message["type"] for message in server.received] == ["websocket.accept"]
