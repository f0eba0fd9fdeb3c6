import channels.generic.http
import channels.layers
from asgiref.testing import ApplicationCommunicator
from channels.generic.http import AsyncHttpConsumer

import channels_http.generic.http
from channels_core.typing import Message


class LongPoll(AsyncHttpConsumer):
    groups = ["room"]

    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=[(b"Content-Type", b"text/plain")])
        await self.send_body(b"", more_body=True)

    async def chat_message(self, message: Message) -> None:
        await self.send_body(message["text"].encode())


def test_it_is_the_module_of_channels_http() -> None:
    assert channels.generic.http is channels_http.generic.http


async def test_a_held_request_is_answered_by_a_message_to_its_group() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    client = ApplicationCommunicator(LongPoll.as_asgi(), scope)
    await client.send_input({"type": "http.request"})
    assert (await client.receive_output(20))["status"] == 200
    assert (await client.receive_output(20))["more_body"] is True
    layer = channels.layers.get_channel_layer()
    assert layer is not None
    await layer.group_send("room", {"type": "chat.message", "text": "hello"})
    last = await client.receive_output(20)
    assert (last["body"], last["more_body"]) == (b"hello", False)
    await client.wait(20)
