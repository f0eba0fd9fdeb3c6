"""What programs and tests written for Channels 4.3 see of consumers."""

from typing import Any

import pytest
from channels.consumer import AsyncConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator


class Frames(AsyncWebsocketConsumer):
    groups = ("frames",)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(f"received {text_data}")

    async def websocket_send(self, event: Any) -> None:
        await self.send(f"sent {event['text']}")

    async def websocket_close(self, event: Any) -> None:
        await self.send("closing")


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("websocket.receive", "received x"),
        ("websocket.send", "sent x"),
        ("websocket.close", "closing"),
    ],
)
async def test_a_layer_message_reaches_a_handler_that_is_named_like_a_message_of_asgi(
    kind: str, answer: str
) -> None:
    communicator = WebsocketCommunicator(Frames.as_asgi(), "/")
    assert (await communicator.connect())[0]
    layer = get_channel_layer()
    assert layer is not None
    await layer.group_send("frames", {"type": kind, "text": "x"})
    assert await communicator.receive_from() == answer
    await communicator.disconnect()


@pytest.mark.parametrize("ending", ["http.disconnect", "websocket.disconnect"])
async def test_a_consumer_without_a_handler_for_its_end_just_ends(ending: str) -> None:
    class Bare(AsyncConsumer):
        pass

    communicator = ApplicationCommunicator(Bare.as_asgi(), {"type": "any"})
    await communicator.send_input({"type": ending})
    await communicator.wait()


async def test_http_headers_are_passed_on_as_they_are() -> None:
    class Plain(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            headers: Any = [(b"X-B", b"1"), (b"X-A", "2"), (b"X-A", b"3")]
            await self.send_response(200, b"body", headers=headers)

    response = await HttpCommunicator(Plain.as_asgi(), "GET", "/").get_response()
    assert response["headers"] == [(b"X-B", b"1"), (b"X-A", b"2"), (b"X-A", b"3")]


async def test_headers_of_accept_are_passed_on_as_they_are() -> None:
    class Accepting(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            headers: Any = [["X-B", "1"], [b"X-A", b"2"]]
            await self.accept(headers=headers)

    communicator = ApplicationCommunicator(Accepting.as_asgi(), {"type": "websocket"})
    await communicator.send_input({"type": "websocket.connect"})
    message = await communicator.receive_output()
    assert message["headers"] == [[b"X-B", b"1"], [b"X-A", b"2"]]
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    await communicator.wait()


async def test_what_a_http_consumer_raises_comes_out_of_get_response() -> None:
    class Fails(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            raise ZeroDivisionError("the program's own")

    with pytest.raises(ZeroDivisionError, match=r"^the program's own$"):
        await HttpCommunicator(Fails.as_asgi(), "GET", "/").get_response()


async def test_a_http_consumer_without_handle_says_so() -> None:
    class Nothing(AsyncHttpConsumer):
        pass

    with pytest.raises(NotImplementedError) as raised:
        await HttpCommunicator(Nothing.as_asgi(), "GET", "/").get_response()
    text = "Subclasses of AsyncHttpConsumer must provide a handle() method."
    assert str(raised.value) == text


async def test_a_body_that_is_neither_bytes_nor_text_is_an_assertion_error() -> None:
    class Counts(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, 1)  # type: ignore[arg-type] # what the test is about

    with pytest.raises(AssertionError) as raised:
        await HttpCommunicator(Counts.as_asgi(), "GET", "/").get_response()
    assert str(raised.value) == "Body is not bytes"
