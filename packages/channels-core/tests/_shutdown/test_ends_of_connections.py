"""Connections that end because the server stops, or because the channel layer has failed."""

import asyncio
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.layers import channel_layers
from channels_core.typing import Message, Scope
from fakes import LocalLayer, Server, StopHandler, raise_stop, until

RESTART = {"type": "websocket.close", "code": 1012, "reason": "Service restart"}


@pytest.fixture
async def stopped(stop_handler: StopHandler) -> None:
    """Stop the server."""

    class Consumer(AsyncWebsocketConsumer):
        channel_layer_alias = None

    server = Server(Consumer.as_asgi())
    await server.connect()
    await server.leave()
    signal.raise_signal(signal.SIGTERM)
    assert stop_handler.got == [signal.SIGTERM]


class Watched:
    """Records the close codes of its calls of `disconnect`."""

    ended: list[int]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.ended = []

    def disconnect(self, code: int) -> Any:
        self.ended.append(code)
        return super().disconnect(code)  # type: ignore[misc] # of the consumer


@pytest.mark.usefixtures("stop_handler")
class TestAWebSocket:
    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_it_is_closed_with_service_restart(self, base: Any) -> None:
        class Consumer(Watched, base):  # type: ignore[misc] # the base is given
            pass

        server = Server(Consumer.as_asgi())
        await server.connect()
        await raise_stop()
        await server.end()
        assert server.received[1:] == [RESTART]
        assert Consumer.ended == [1012]

    async def test_the_handler_that_runs_ends_first(self) -> None:
        go = asyncio.Event()

        class Consumer(Watched, AsyncWebsocketConsumer):
            async def receive(
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None:
                await self.send("begun")
                await go.wait()
                await self.send("done")

        server = Server(Consumer.as_asgi())
        await server.connect()
        server.text("a", "b")
        await server.reply()
        await raise_stop()
        go.set()
        await server.end()
        texts = [message.get("text") for message in server.received[1:]]
        assert texts == ["begun", "done", None]
        assert server.received[-1] == RESTART

    @pytest.mark.parametrize("layer", [None, LocalLayer()])
    async def test_one_that_goes_on_for_too_long_is_cancelled(
        self, layer: LocalLayer | None, settings: Any
    ) -> None:
        settings.CHANNELS_DRAIN_TIMEOUT = 0.01
        channel_layers.set("default", layer)

        class Consumer(Watched, AsyncWebsocketConsumer):
            async def receive(
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None:
                await self.send("begun")
                await asyncio.Event().wait()

        server = Server(Consumer.as_asgi())
        await server.connect()
        server.text("a")
        await server.reply()
        await raise_stop()
        await server.end()
        assert server.received[-1] == RESTART
        assert Consumer.ended == [1012]
        channel_layers.set("default", None)

    async def test_one_that_is_closed_already_is_not_closed_again(self) -> None:
        class Consumer(Watched, AsyncWebsocketConsumer):
            async def receive(
                self, text_data: str | None = None, bytes_data: bytes | None = None
            ) -> None:
                await self.close(4000)

        server = Server(Consumer.as_asgi())
        await server.connect()
        server.text("a")
        await server.reply()
        await raise_stop()
        await server.end()
        assert server.received[-1]["code"] == 4000
        assert Consumer.ended == [4000]

    async def test_a_client_that_cannot_be_told_holds_up_nothing(self) -> None:
        class Consumer(Watched, AsyncWebsocketConsumer):
            pass

        server = Server(Consumer.as_asgi())
        await server.connect()
        server.fault = OSError("gone")
        await raise_stop()
        await server.end()
        assert Consumer.ended == [1012]

    async def test_daphne_is_told_in_its_own_way(self) -> None:
        class Protocol:
            __module__ = "daphne.ws_protocol"
            state = STATE_OPEN = 3
            closed: tuple[Any, ...] = ()

            def sendCloseFrame(self, **kwargs: Any) -> None:  # noqa: N802 - Autobahn's name for it
                self.closed = tuple(kwargs.values())

        class Consumer(Watched, AsyncWebsocketConsumer):
            pass

        protocol = Protocol()
        sent: list[Message] = []
        inbox: asyncio.Queue[Message] = asyncio.Queue()

        async def handle_reply(protocol: Protocol, message: Message) -> None:
            sent.append(message)

        inbox.put_nowait({"type": "websocket.connect"})
        scope: Scope = {"type": "websocket", "path": "/"}
        application: Any = Consumer.as_asgi()
        send = partial(handle_reply, protocol)
        task = asyncio.create_task(application(scope, inbox.get, send))
        await until(lambda: bool(sent))
        await raise_stop()
        await task
        assert [message["type"] for message in sent] == ["websocket.accept"]
        assert protocol.closed == (1012, b"Service restart", False)


class TestAFailedLayer:
    """If one connection sees an outage of a layer, all connections on that layer end."""

    @pytest.fixture
    def layers(self) -> Iterator[dict[str, LocalLayer]]:
        layers = {"default": LocalLayer(), "other": LocalLayer()}
        for alias, layer in layers.items():
            channel_layers.set(alias, layer)
        yield layers
        for alias in layers:
            channel_layers.set(alias, None)

    async def connect(self, alias: str = "default") -> tuple[Server, Any]:
        class Consumer(Watched, AsyncWebsocketConsumer):
            channel_layer_alias = alias

            async def layer_message(self, event: Message) -> None:
                await self.send("handled")

        server = Server(Consumer.as_asgi())
        await server.connect()
        return server, Consumer

    async def test_the_other_connections_are_closed_to_connect_again(
        self, layers: dict[str, LocalLayer]
    ) -> None:
        first, _ = await self.connect()
        second, ending = await self.connect()
        elsewhere, _ = await self.connect("other")
        layers["default"].faults["receive"] = ConnectionError("away")
        await layers["default"].send(
            next(iter(layers["default"].queues)), {"type": "layer.message"}
        )
        with pytest.raises(ConnectionError):
            await first.end()
        await second.end()
        assert second.received[1:] == [RESTART]
        assert ending.ended == [1012]
        assert not elsewhere.task.done()
        await elsewhere.leave()

    async def test_another_error_of_the_layer_ends_one_connection_only(
        self, layers: dict[str, LocalLayer]
    ) -> None:
        first, _ = await self.connect()
        second, _ = await self.connect()
        layers["default"].faults["receive"] = LookupError("of the program")
        await layers["default"].send(
            next(iter(layers["default"].queues)), {"type": "layer.message"}
        )
        with pytest.raises(LookupError):
            await first.end()
        assert not second.task.done()
        await second.leave()

    async def test_an_outage_in_a_handler_ends_one_connection_only(
        self, layers: dict[str, LocalLayer]
    ) -> None:
        class Failing(AsyncWebsocketConsumer):
            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                raise ConnectionError("of something else")

        second, _ = await self.connect()
        first = Server(Failing.as_asgi())
        await first.connect()
        first.text("a")
        with pytest.raises(ConnectionError):
            await first.end()
        assert not second.task.done()
        await second.leave()

    async def test_an_outage_of_the_server_ends_one_connection_only(
        self, layers: dict[str, LocalLayer]
    ) -> None:
        second, _ = await self.connect()

        async def receive() -> Message:
            raise ConnectionError("of the server")

        application: Any = AsyncWebsocketConsumer.as_asgi()
        with pytest.raises(ConnectionError):
            await application({"type": "websocket", "path": "/"}, receive, None)
        assert not second.task.done()
        await second.leave()


class TestPlainConsumers:
    @pytest.mark.usefixtures("stop_handler")
    async def test_one_of_a_websocket_is_closed_too(self) -> None:
        class Consumer(AsyncConsumer):
            async def websocket_connect(self, message: Message) -> None:
                await self.send({"type": "websocket.accept"})

        server = Server(Consumer.as_asgi())
        await server.connect()
        await raise_stop()
        await server.end()
        assert server.received[-1] == RESTART

    @pytest.mark.usefixtures("stop_handler")
    async def test_one_of_a_request_ends_without_a_message(self) -> None:
        class Consumer(AsyncConsumer):
            async def http_request(self, message: Message) -> None:
                await self.send({"type": "http.response.start"})

        server = Server(Consumer.as_asgi(), {"type": "http"})
        server.put({"type": "http.request"})
        await server.replies(1)
        await raise_stop()
        await server.end()
        assert server.received == [{"type": "http.response.start"}]

    def test_one_without_a_server_may_be_ended(self) -> None:
        connection = AsyncConsumer()._channels_connection
        connection.drain()
        connection.cut()
        assert connection.is_drained


@pytest.mark.usefixtures("stopped")
class TestConnectionsAfterTheSignal:
    async def test_a_handshake_is_refused(self) -> None:
        class Consumer(Watched, AsyncWebsocketConsumer):
            pass

        server = Server(Consumer.as_asgi(), {"extensions": {"websocket.http.response": {}}})
        await server.connect()
        await server.end()
        assert server.received[0]["status"] == 503
        assert Consumer.ended == []

    async def test_a_request_is_handled_once(self) -> None:
        class Consumer(AsyncConsumer):
            async def http_request(self, message: Message) -> None:
                await self.send({"type": "http.response.start"})
                assert self._channels_connection.is_drained

        server = Server(Consumer.as_asgi(), {"type": "http"})
        server.put({"type": "http.request"})
        await server.replies(1)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()

    async def test_a_job_of_a_worker_is_handled(self) -> None:
        class Consumer(AsyncConsumer):
            async def test_job(self, message: Message) -> None:
                await self.send({"type": "test.done"})

        server = Server(Consumer.as_asgi(), {"type": "channel", "channel": "jobs"})
        server.put({"type": "test.job"}, {"type": "test.job"})
        await server.replies(2)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()
