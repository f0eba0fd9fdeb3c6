import pytest

from channels_core.generic.websocket import AsyncWebsocketConsumer
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


def test_a_consumer_that_runs_no_loop_may_lose_its_client() -> None:
    consumer = AsyncWebsocketConsumer()
    consumer._channels_socket.connecting()
    consumer._channels_socket.accepted()
    assert consumer.is_open
    consumer._channels_lost(OSError("gone"))
    assert not consumer.is_open
