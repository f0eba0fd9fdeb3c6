import asyncio
from typing import Any

import pytest

from channels_core.generic._websocket import connection as _base
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.typing import Message
from fakes import LocalLayer, Server


async def test_disconnect_answers_a_connect(layer: LocalLayer) -> None:
    called = []

    class Counting(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            called.append(code)

    layer.faults["new_channel"] = ConnectionError("no layer")
    server = Server(Counting.as_asgi())
    with pytest.raises(ConnectionError):
        await server.end()
    assert called == []


async def test_a_consumer_that_is_called_by_hand_may_lose_its_client() -> None:
    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise OSError("gone")

    consumer = AsyncWebsocketConsumer()
    consumer.scope = {"type": "websocket"}
    consumer.base_send = send
    await consumer.websocket_connect({"type": "websocket.connect"})
    assert consumer.is_open
    with pytest.raises(OSError, match="gone"):
        await consumer.send("x")
    assert not consumer.is_open


class TestUnanswered:
    """A `connect` that returns without an answer is logged once for each class."""

    LINE = (
        "Silent.connect returned without a call of accept(), close() or deny(), so that the "
        "client waits; call one of them"
    )

    @pytest.mark.parametrize("sync", [False, True])
    async def test_it_is_one_line(
        self, sync: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class SilentAsync(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                returned.set()

        class SilentSync(WebsocketConsumer):
            def connect(self) -> None:
                loop.call_soon_threadsafe(returned.set)

        monkeypatch.setattr(_base, "_ANSWER_WITHIN", 0.01)
        loop = asyncio.get_running_loop()
        kind: Any = SilentSync if sync else SilentAsync
        kind.__name__ = "Silent"
        for _ in range(2):
            returned = asyncio.Event()
            server = Server(kind.as_asgi())
            server.put({"type": "websocket.connect"})
            await returned.wait()
            await asyncio.sleep(0.1)
            assert caplog.messages == [self.LINE]
            await server.leave()
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    async def test_a_test_that_ends_sooner_finds_it(self, caplog: pytest.LogCaptureFixture) -> None:
        class Silent(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                returned.set()

        returned = asyncio.Event()
        server = Server(Silent.as_asgi())
        server.put({"type": "websocket.connect"})
        await returned.wait()
        await server.leave()
        assert caplog.messages == [self.LINE]

    async def test_a_later_answer_is_not_warned_of(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Later(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.channel_layer.send(self.channel_name, {"type": "may.enter"})

            async def may_enter(self, message: Message) -> None:
                await self.accept()

        monkeypatch.setattr(_base, "_ANSWER_WITHIN", 0.01)
        server = Server(Later.as_asgi())
        [answer] = await server.connect()
        assert answer["type"] == "websocket.accept"
        await asyncio.sleep(0.05)
        await server.leave()
        assert caplog.messages == []
