import channels.generic.sse
from asgiref.testing import ApplicationCommunicator
from channels.generic.sse import AsyncSseConsumer

import channels_http.generic.sse


class Greeting(AsyncSseConsumer):
    async def connect(self) -> None:
        await self.send_event("hello", id=1)
        await self.close()


def test_it_is_the_module_of_channels_http() -> None:
    assert channels.generic.sse is channels_http.generic.sse


async def test_a_stream_of_events() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    client = ApplicationCommunicator(Greeting.as_asgi(), scope)
    await client.send_input({"type": "http.request"})
    assert (await client.receive_output(20))["status"] == 200
    parts = [await client.receive_output(20) for _ in range(3)]
    assert parts[1]["body"] == b"id: 1\ndata: hello\n\n"
    assert parts[2]["more_body"] is False
    await client.wait(20)
