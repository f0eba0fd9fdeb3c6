"""A server whose `send` does not return, although its client has left."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from channels_core import connection
from channels_core._connection import mailbox
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels_core.typing import Message
from fakes import LocalLayer, Server, until

variable: ContextVar[str] = ContextVar("variable", default="")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, mailbox):
        monkeypatch.setattr(module, "SEND_WITHIN", 0.05)


class Echo(AsyncWebsocketConsumer):
    groups = ["room"]
    codes: list[int] = []

    async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        await self.send(text_data=text_data)

    async def disconnect(self, code: int) -> None:
        self.codes.append(code)


class SyncEcho(WebsocketConsumer):
    groups = ["room"]
    codes: list[int] = []

    def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        self.send(text_data=text_data)

    def disconnect(self, code: int) -> None:
        self.codes.append(code)


class JsonEcho(AsyncJsonWebsocketConsumer):
    groups = ["room"]
    codes: list[int] = []

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)

    async def disconnect(self, code: int) -> None:
        self.codes.append(code)


class SyncEchoInATask(SyncEcho):
    """The variable makes `async_to_sync` run what it sends, in a task of its own."""

    def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
        variable.set("set")
        self.send(text_data=text_data)


@contextmanager
def logged_once(caplog: pytest.LogCaptureFixture, kind: type) -> Iterator[None]:
    yield
    [record] = caplog.records
    assert record.getMessage() == (
        f"The server's send has not returned within 0.05 s after the client left; {kind.__name__} "
        "is ended"
    )


@pytest.mark.parametrize("kind", [Echo, JsonEcho, SyncEcho, SyncEchoInATask])
async def test_the_consumer_leaves_its_groups_and_ends(
    kind: type[Echo | JsonEcho | SyncEcho], layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    kind.codes.clear()
    server = Server(kind.as_asgi())
    await server.connect()
    assert layer.members == 1
    server.hangs = True
    server.text('"hello"', '"again"')
    with logged_once(caplog, kind):
        await server.leave(4001)
    assert kind.codes == [4001]
    assert layer.members == 0


@pytest.mark.parametrize("kind", [Echo, SyncEcho])
async def test_the_answer_to_the_handshake_may_hang(
    kind: type[Echo | SyncEcho], layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(kind.as_asgi())
    server.hangs = True
    server.put({"type": "websocket.connect"})
    with logged_once(caplog, kind):
        await server.leave()
    assert layer.members == 0


async def test_so_does_one_that_has_wrapped_the_servers_send(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Counting(Echo):
        async def connect(self) -> None:
            inner, self.sent = self.base_send, 0

            async def counted(message: Message) -> None:
                await inner(message)
                self.sent += 1

            self.base_send = counted
            await self.accept()

    server = Server(Counting.as_asgi())
    await server.connect()
    server.hangs = True
    server.text("hello")
    with logged_once(caplog, Counting):
        await server.leave(4001)
    assert layer.members == 0


async def test_what_the_program_itself_waits_for_goes_on(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    may_go_on = asyncio.Event()

    class Slow(Echo):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await may_go_on.wait()
            await super().receive(text_data)

    server = Server(Slow.as_asgi())
    await server.connect()
    server.hangs = True
    server.text("hello")
    leaving = asyncio.ensure_future(server.leave())
    await asyncio.sleep(0.3)
    assert layer.members == 1
    assert not caplog.records
    may_go_on.set()
    with logged_once(caplog, Slow):
        await leaving
    assert layer.members == 0


async def test_so_does_a_close_of_the_program_that_send_calls(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    may_go_on = asyncio.Event()

    class Slow(Echo):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data, close=True)

        async def close(self, code: Any = None, reason: str | None = None) -> None:
            await may_go_on.wait()

    server = Server(Slow.as_asgi())
    await server.connect()
    server.text("hello")
    await server.reply()
    leaving = asyncio.ensure_future(server.leave())
    await asyncio.sleep(0.3)
    assert layer.members == 1
    may_go_on.set()
    await leaving
    assert layer.members == 0
    assert not caplog.records


async def test_so_does_a_handler_in_a_thread(layer: LocalLayer) -> None:
    may_go_on = threading.Event()
    done = []

    class Slow(SyncEcho):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            may_go_on.wait(20)
            done.append(text_data)

    server = Server(Slow.as_asgi())
    await server.connect()
    server.text("hello")
    leaving = asyncio.ensure_future(server.leave())
    await asyncio.sleep(0.3)
    may_go_on.set()
    await leaving
    assert done == ["hello"]


async def test_a_connection_that_ends_in_time_is_not_looked_at(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    monkeypatch.setattr(connection.Connection, "end_hanging_send", looks.append)
    server = Server(Echo.as_asgi())
    await server.connect()
    await server.leave()
    await asyncio.sleep(0.2)
    await until(lambda: layer.members == 0)
    assert looks == []


async def test_an_end_that_comes_before_a_message_is_handled_before_it(layer: LocalLayer) -> None:
    """Otherwise the message's handler could wait for the server, and nothing would end it."""
    handled: list[str] = []

    class Member(Echo):
        async def chat_message(self, event: dict[str, Any]) -> None:
            handled.append("message")

        async def disconnect(self, code: int) -> None:
            handled.append("end")

    server = Server(Member.as_asgi())
    await server.connect()
    server.text("hello")  # a frame, after which it is the layer's turn
    await server.reply()
    await layer.group_send("room", {"type": "chat.message"})
    await until(lambda: handled == ["message"])
    server.text("hello")
    await server.reply()
    for _ in range(5):
        await asyncio.sleep(0)
    server.put({"type": "websocket.disconnect", "code": 1000})
    await asyncio.sleep(0)  # the end is read, and the consumer is woken
    await layer.group_send("room", {"type": "chat.message"})
    await server.end()
    assert handled == ["message", "end"]


async def test_nothing_is_left_to_look_at_if_the_server_cancels_it(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(Echo.as_asgi())
    await server.connect()
    server.hangs = True
    server.text("hello")
    server.put({"type": "websocket.disconnect", "code": 1000})
    await until(server.inbox.empty)
    server.task.cancel()
    await asyncio.wait([server.task])
    await asyncio.sleep(0.2)
    assert layer.members == 0
    assert not caplog.records
