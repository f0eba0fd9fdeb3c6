"""Which errors of a server's `send` mean that the client has left."""

import pytest

from channels_core._departures import client_has_left
from channels_core.generic.websocket import AsyncWebsocketConsumer
from fakes import Server

#: What Daphne's Autobahn raises; its package is not installed beside this one alone.
Disconnected = type("Disconnected", (RuntimeError,), {"__module__": "autobahn.exception"})
AUTOBAHN = Disconnected("Attempt to send on a closed protocol")
UVICORN = RuntimeError(
    "Expected ASGI message 'websocket.accept', 'websocket.close' or "
    "'websocket.http.response.start' but got 'websocket.send'."
)
UVICORN_CLOSED = RuntimeError(
    "Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."
)


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (OSError("gone"), True, True),
        (BrokenPipeError(), True, True),
        (AUTOBAHN, True, True),
        # Without an acceptance before, the application is at fault.
        (UVICORN, False, True),
        (UVICORN_CLOSED, False, True),
        (RuntimeError("another"), False, False),
        (type("Disconnected", (RuntimeError,), {})(), False, False),
        (ValueError(str(UVICORN)), False, False),
    ],
)
def test_each_error(error: Exception, before: bool, after: bool) -> None:
    assert client_has_left(error, accepted=False) is before
    assert client_has_left(error, accepted=True) is after


@pytest.mark.parametrize(
    "error", [AUTOBAHN, UVICORN, UVICORN_CLOSED], ids=["daphne", "uvicorn", "uvicorn-closed"]
)
async def test_a_client_that_leaves_is_no_failure(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    class Greeting(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            await self.send("hello")

        async def disconnect(self, code: int) -> None:
            seen.append(code)

    server = Server(Greeting.as_asgi())
    await server.connect()
    server.fault = error
    server.text("1")
    await server.end()
    assert seen == [1006]
    assert not caplog.records


async def test_another_error_is_one(caplog: pytest.LogCaptureFixture) -> None:
    class Greeting(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            await self.send("hello")

    server = Server(Greeting.as_asgi())
    await server.connect()
    server.fault = RuntimeError("a fault of the server")
    server.text("1")
    with pytest.raises(RuntimeError, match="a fault of the server"):
        await server.end()
