"""The behaviour of consumers that programs and tests written for Channels 4.3 rely on."""

from typing import Any

import pytest
from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import InvalidChannelLayerError
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
            headers: Any = [(b"X-B", b"1"), (b"X-A", "2"), (b"Transfer-Encoding", b"chunked")]
            await self.send_response(200, b"body", headers=headers)

    response = await HttpCommunicator(Plain.as_asgi(), "GET", "/").get_response()
    sent = [(b"X-B", b"1"), (b"X-A", b"2"), (b"Transfer-Encoding", b"chunked")]
    assert response["headers"] == sent


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


async def test_a_program_may_have_limits_and_helpers_of_its_own() -> None:
    class Own(AsyncWebsocketConsumer):
        max_message_size = 2
        close_code = 4001

        async def report_exception(self, error: Exception) -> None:  # type: ignore[override] # its own
            await self.send(text_data=f"error {error}")

        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            if len(text_data or "") > self.max_message_size:
                await self.report_exception(ValueError("too large"))
            else:
                await self.close(self.close_code)

    socket = WebsocketCommunicator(Own.as_asgi(), "/")
    await socket.connect()
    await socket.send_to(text_data="three")
    assert await socket.receive_from() == "error too large"
    await socket.send_to(text_data="2")
    assert (await socket.receive_output())["code"] == 4001
    await socket.disconnect()


async def test_what_the_server_raises_leaves_send() -> None:
    class Sending(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            try:
                await self.send(text_data="x")
            except OSError as error:
                seen.append(error)

    async def refuse(message: Any) -> None:
        raise gone

    seen: list[OSError] = []
    gone = OSError("gone")
    consumer = Sending()
    consumer.base_send = refuse
    await consumer.websocket_receive({"type": "websocket.receive", "text": "a", "bytes": None})
    assert seen == [gone]


async def test_a_call_of_its_own_may_see_to_the_end() -> None:
    class Own(AsyncWebsocketConsumer):
        told = False

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await super().__call__(scope, receive, send)
            finally:
                if not self.told:
                    await self.disconnect(1006)

        async def websocket_disconnect(self, message: Any) -> None:
            self.told = True
            await super().websocket_disconnect(message)

        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            raise LookupError("failed")

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    codes: list[int] = []
    socket = WebsocketCommunicator(Own.as_asgi(), "/")
    await socket.connect()
    await socket.send_to(text_data="a")
    with pytest.raises(LookupError, match=r"^failed$"):
        await socket.wait()
    assert codes == [1006]


async def test_an_error_of_group_discard_leaves_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Member(AsyncWebsocketConsumer):
        groups = ["room"]

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    async def fail(group: str, channel: str) -> None:
        raise ConnectionError("away")

    codes: list[int] = []
    socket = WebsocketCommunicator(Member.as_asgi(), "/")
    await socket.connect()
    with monkeypatch.context() as patch:
        patch.setattr(get_channel_layer(), "group_discard", fail)
        with pytest.raises(ConnectionError, match=r"^away$"):
            await socket.disconnect()


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


def test_text_of_a_message_without_a_type() -> None:
    with pytest.raises(ValueError, match=r"^Incoming message has no 'type' attribute$"):
        get_handler_name({})


async def test_text_without_a_layer_for_groups(settings: Any) -> None:
    class Member(AsyncWebsocketConsumer):
        groups = ["room"]

    settings.CHANNEL_LAYERS = {}
    socket = WebsocketCommunicator(Member.as_asgi(), "/")
    with pytest.raises(InvalidChannelLayerError) as caught:
        await socket.connect()
    assert caught.value.args == ("BACKEND is unconfigured or doesn't support groups",)


async def test_an_http_consumer_keeps_its_body() -> None:
    class Kept(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, repr(self.body).encode())

    response = await HttpCommunicator(Kept.as_asgi(), "POST", "/", b"a").get_response()
    assert response["body"] == b"[b'a']"
