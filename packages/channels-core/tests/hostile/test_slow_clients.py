"""Clients that do not read what is sent to them, and clients that send too much."""

import asyncio
from typing import Any

import pytest

from channels_core._scope import SERVER
from channels_core._uvicorn import Outgoing
from channels_core.consumer import AsyncConsumer, hook
from channels_core.exceptions import InvalidFrame
from channels_core.generic._websocket import connection as module
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from fakes import LocalLayer, Server, until

CLOSED = {"type": "websocket.close", "code": 1013, "reason": "The client does not read"}


class Client(Outgoing):
    """The buffer of a server, from which the client takes what the test lets it take."""

    __slots__ = ("aborted", "allowed", "size", "takes")

    def __init__(self) -> None:
        self.size = 0
        self.allowed = 0
        # What it takes between two looks.
        self.takes = 0
        self.aborted = False

    def allow(self, size: int) -> None:
        self.allowed = size

    def waiting(self) -> int:
        self.size = max(0, self.size - self.takes)
        return self.size

    def abort(self) -> None:
        self.aborted = True


class Buffered(Server):
    """A server that keeps frames for its client."""

    def __init__(self, consumer: Any) -> None:
        self.client = Client()
        super().__init__(consumer.as_asgi(), {SERVER: self.client})

    async def _send(self, message: Any) -> None:
        await super()._send(message)
        self.client.size += len(message.get("text") or message.get("bytes") or "")

    def sent(self) -> list[str]:
        return [each["text"] for each in self.received if each["type"] == "websocket.send"]


left: list[int] = []


class Room(AsyncWebsocketConsumer, max_pending=100):
    async def said(self, event: Any) -> None:
        await self.send(text_data=event["text"])

    async def disconnect(self, code: int) -> None:
        left.append(code)


class SyncRoom(WebsocketConsumer, max_pending=100):
    def said(self, event: Any) -> None:
        self.send(text_data=event["text"])

    def disconnect(self, code: int) -> None:
        left.append(code)


class Dropping(Room, slow_client="drop"):
    pass


class SyncDropping(SyncRoom, slow_client="drop"):
    pass


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    left.clear()
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.0)
    monkeypatch.setattr(module, "_ABORT_AFTER", 0.0)


async def say(layer: LocalLayer, *texts: str) -> None:
    [channel] = layer.queues
    for text in texts:
        await layer.send(channel, {"type": "said", "text": text})


@pytest.mark.parametrize("kind", [Room, SyncRoom])
async def test_the_connection_of_a_client_that_does_not_read_is_closed(
    kind: Any, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Buffered(kind)
    await server.connect()
    assert server.client.allowed == 100
    await say(layer, *["x" * 30] * 10)
    await until(lambda: server.received[-1] == CLOSED)
    assert server.sent() == ["x" * 30] * 3
    await until(lambda: server.client.aborted)
    # What the program sends afterwards is ignored, and it hears the code.
    await say(layer, "more")
    await server.leave(1006)
    assert server.received[-1] == CLOSED
    assert left == [1013]
    [line] = caplog.messages
    assert line == (
        f"{kind.__name__}: more than max_pending (100 bytes) waits for a client that does not "
        "read; its connection is closed"
    )


@pytest.mark.parametrize("kind", [Dropping, SyncDropping])
async def test_or_frames_for_it_are_dropped(
    kind: Any, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Buffered(kind)
    await server.connect()
    await say(layer, *["x" * 30] * 200)
    [channel] = layer.queues
    await until(lambda: layer.queues[channel].empty() and len(caplog.messages) == 10)
    assert server.sent() == ["x" * 30] * 3
    server.client.takes = 1000
    await say(layer, "alive")
    await until(lambda: server.sent()[-1:] == ["alive"])
    assert not server.client.aborted
    await server.leave()
    assert left == [1000]


@pytest.mark.parametrize("kind", [Room, SyncRoom, Dropping, SyncDropping])
async def test_a_client_that_reads_gets_everything(kind: Any, layer: LocalLayer) -> None:
    server = Buffered(kind)
    await server.connect()
    server.client.takes = 7
    texts = [f"{number:40}" for number in range(50)]
    await say(layer, *texts)
    await until(lambda: len(server.sent()) == 50 or server.task.done())
    assert server.sent() == texts
    await server.leave()


async def test_a_frame_may_be_larger_if_nothing_waits(layer: LocalLayer) -> None:
    server = Buffered(Room)
    await server.connect()
    await say(layer, "x" * 1000)
    await until(lambda: bool(server.sent()))
    server.client.size = 0
    await say(layer, "ä" * 1000)
    await until(lambda: len(server.sent()) == 2)
    await server.leave()


async def test_bytes_and_what_is_sent_without_our_methods_count(layer: LocalLayer) -> None:
    class Bare(Dropping):
        async def said(self, event: Any) -> None:
            await self.base_send({"type": "websocket.send", "bytes": b"x" * 60})

    server = Buffered(Bare)
    await server.connect()
    await say(layer, "", "", "")
    [channel] = layer.queues
    await until(layer.queues[channel].empty)
    await server.leave()
    assert len(server.received) == 2


async def test_a_close_ends_the_wait_of_another_task(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1000.0)

    class Closing(Room):
        async def said(self, event: Any) -> None:
            await self.send(text_data="x" * 60)
            sending = asyncio.ensure_future(self.send(text_data="x" * 60))
            await asyncio.sleep(0)
            await self.close(4000)
            await sending
            left.append(0)

    server = Buffered(Closing)
    await server.connect()
    await say(layer, "")
    await until(lambda: left == [0])
    assert [each["type"] for each in server.received[1:]] == ["websocket.send", "websocket.close"]
    await server.leave()


async def test_daphne_is_told_in_its_own_way(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str]] = []

    def close_with(scope: Any, code: int, reason: str) -> bool:
        told.append((code, reason))
        return True

    monkeypatch.setattr("channels_core.abort.close_with", close_with)
    server = Buffered(Room)
    await server.connect()
    await say(layer, *["x" * 60] * 2)
    await until(lambda: bool(told))
    assert told == [(1013, "The client does not read")]
    await server.leave(1006)
    assert left == [1013]


async def test_a_client_that_leaves_meanwhile_is_not_closed(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1000.0)
    server = Buffered(Room)
    await server.connect()
    await say(layer, *["x" * 60] * 2)
    await until(lambda: bool(server.sent()))
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()
    assert len(server.received) == 2


async def test_without_the_option_nothing_is_looked_at(layer: LocalLayer) -> None:
    class Plain(AsyncWebsocketConsumer):
        async def said(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    server = Buffered(Plain)
    await server.connect()
    await say(layer, *["x" * 100] * 20)
    await until(lambda: len(server.sent()) == 20)
    assert server.client.allowed == 0
    await server.leave()


async def test_an_unknown_server_is_not_looked_at(layer: LocalLayer) -> None:
    server = Server(Room.as_asgi())
    await server.connect()
    await say(layer, *["x" * 100] * 20)
    assert len(await server.replies(21)) == 21
    await server.leave()


class Hasty(AsyncJsonWebsocketConsumer, max_messages_per_second=5):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


async def test_too_many_messages_close_the_connection(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels_core.generic._websocket.rate.monotonic", lambda: 0.0)
    server = Server(Hasty.as_asgi())
    await server.connect()
    # Those that the program itself sends over the layer do not count.
    [channel] = layer.queues
    for _ in range(10):
        await layer.send(channel, {"type": "websocket.receive", "text": "0"})
    await server.replies(11)
    server.text(*map(str, range(100)))
    with pytest.raises(InvalidFrame, match="more than 5 messages per second") as raised:
        await server.end()
    assert raised.value.code == 1008
    assert [each.get("text") for each in server.received[11:]] == ["0", "1", "2", "3", "4", None]
    assert server.received[-1] == {"type": "websocket.close", "code": 1008}


async def test_a_program_may_let_them_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(Hasty):
        channel_layer_alias = None

        @hook
        async def invalid_frame(self, error: InvalidFrame) -> None:
            await self.send_json(error.code)

    server = Server(Patient.as_asgi())
    await server.connect()
    server.text(*["0"] * 30)
    texts = [each["text"] for each in await server.reply(30)]
    assert texts[:5] == ["0"] * 5
    assert texts[5:15] == ["1008"] * 10
    await server.leave()


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
async def test_the_setting_bounds_frames_unless_the_class_has_an_option(
    base: type[AsyncConsumer], settings: Any
) -> None:
    settings.CHANNELS_MAX_MESSAGE_SIZE = 10
    kinds: list[Any] = [
        type("Default", (base,), {"channel_layer_alias": None}),
        type("Larger", (base,), {"channel_layer_alias": None}, max_message_size=20),
        type("Any", (base,), {"channel_layer_alias": None}, max_message_size=None),
    ]
    for kind, size in zip(kinds, (10, 20, 1000), strict=True):
        server = Server(kind.as_asgi())
        await server.connect()
        server.text("x" * size)
        await until(server.inbox.empty)
        if kind is kinds[2]:
            await server.leave()
            continue
        server.text("x" * (size + 1))
        with pytest.raises(InvalidFrame, match=rf"max_message_size \({size} bytes\)"):
            await server.end()
        assert server.received[-1] == {"type": "websocket.close", "code": 1009}
