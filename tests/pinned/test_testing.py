"""The behaviour of communicators that tests for Channels 4.3 rely on."""

import asyncio
import json
from typing import Any

import pytest
from channels.consumer import AsyncConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.testing import (
    ApplicationCommunicator,
    ChannelsLiveServerTestCase,
    HttpCommunicator,
    WebsocketCommunicator,
)
from channels.testing import live as live_module
from daphne.testing import DaphneProcess

from channels_core.typing import Message, Receive, Scope, Send

# A safety net, for a machine under load.
SECONDS = 60


class Closing(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.close(4000, "enough")


class Refusing(WebsocketConsumer):
    def connect(self) -> None:
        self.close(4401)


class Failing(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        raise ValueError("told to fail")


class FailingSlowly(Failing):
    """Cleans up slowly after the failure."""

    async def disconnect(self, code: int) -> None:
        await asyncio.sleep(0.2)


class LeavingSlowly(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        await asyncio.sleep(SECONDS)


def sending(*messages: Message) -> Any:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await receive()
            await send(message)
        await receive()

    return application


ACCEPT: Message = {"type": "websocket.accept"}


# The response


async def test_a_response_is_returned_while_the_application_goes_on() -> None:
    received: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a"})
        received.append(await receive())

    client = HttpCommunicator(application, "GET", "/")
    response = await client.get_response(SECONDS)
    assert response == {"status": 200, "headers": [], "body": b"a"}
    await asyncio.sleep(0)
    assert not client.future.done()
    assert client.input_queue.empty()
    assert received == [{"type": "http.request", "body": b""}]
    client.stop()


async def test_a_failure_after_the_response_is_not_raised_with_it() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a"})
        await asyncio.sleep(0)
        raise ValueError("too late")

    client = HttpCommunicator(application, "GET", "/")
    assert (await client.get_response(SECONDS))["body"] == b"a"
    with pytest.raises(ValueError, match=r"^too late$"):
        await client.wait(SECONDS)


async def test_a_consumer_of_http_ends_after_its_response() -> None:
    class Page(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, body)

    client = HttpCommunicator(Page.as_asgi(), "POST", "/", body=b"a")
    assert (await client.get_response(SECONDS))["body"] == b"a"
    await client.wait(SECONDS)
    assert not client.future.cancelled()


# The scope


def test_the_scope_of_a_websocket() -> None:
    assert WebsocketCommunicator(sending(), "/a%20b/?c=%26").scope == {
        "type": "websocket",
        "path": "/a b/",
        "query_string": b"c=%26",
        "headers": [],
        "subprotocols": [],
    }


def test_the_scope_of_a_websocket_with_a_version() -> None:
    scope = WebsocketCommunicator(sending(), "/", spec_version="2.1").scope
    assert scope["spec_version"] == "2.1"
    assert scope.keys() == {
        "type",
        "path",
        "query_string",
        "headers",
        "subprotocols",
        "spec_version",
    }


def test_the_scope_of_a_request() -> None:
    assert HttpCommunicator(sending(), "post", "/a%20b/?c=%26", body=b"a").scope == {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/a b/",
        "query_string": b"c=%26",
        "headers": [],
    }


def test_the_scope_of_an_application_is_the_one_that_is_given() -> None:
    scope: Scope = {"type": "test"}
    assert ApplicationCommunicator(sending(), scope).scope is scope
    assert scope == {"type": "test"}


async def test_the_consumer_adds_nothing_to_the_scope_of_a_test() -> None:
    class Consumer(AsyncConsumer):
        async def test_ask(self, message: Message) -> None:
            await self.send({"type": "told", "keys": sorted(self.scope)})

    communicator = ApplicationCommunicator(Consumer.as_asgi(), {"type": "test"})
    await communicator.send_input({"type": "test.ask"})
    assert await communicator.receive_output(SECONDS) == {"type": "told", "keys": ["type"]}
    communicator.stop()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Origin", b"http://a"), (b"cookie", b"a=1"), (b"Cookie", b"b=2")],
        [[b"Origin", b"http://a"]],
        ((b"Origin", b"http://a"),),
    ],
)
def test_headers_are_those_that_are_given(headers: Any) -> None:
    assert WebsocketCommunicator(sending(), "/", headers=headers).scope["headers"] is headers
    client = HttpCommunicator(sending(), "POST", "/", body=b"a", headers=headers)
    assert client.scope["headers"] is headers


def test_subprotocols_are_those_that_are_given() -> None:
    offered = ("a", "b")
    socket = WebsocketCommunicator(sending(), "/", subprotocols=offered)
    assert socket.scope["subprotocols"] is offered


def test_a_query_string_is_encoded_as_utf_8() -> None:
    socket = WebsocketCommunicator(sending(), "/?a=b c\u00e9")
    assert socket.scope["query_string"] == "a=b c\u00e9".encode()


async def test_response_headers_are_none_until_it_is_accepted() -> None:
    socket = WebsocketCommunicator(Refusing.as_asgi(), "/")
    assert socket.response_headers is None
    assert await socket.connect(SECONDS) == (False, 4401)
    assert socket.response_headers is None


# Unexpected messages


async def failure(
    message: Message, method: str = "receive_from", kind: Any = AssertionError
) -> Any:
    socket = WebsocketCommunicator(sending(ACCEPT, message), "/")
    await socket.connect(SECONDS)
    await socket.send_to("a")
    with pytest.raises(kind) as caught:
        await getattr(socket, method)(SECONDS)
    socket.stop()
    return caught.value


async def test_a_close_instead_of_a_frame() -> None:
    socket = WebsocketCommunicator(Closing.as_asgi(), "/")
    await socket.connect(SECONDS)
    await socket.send_to("a")
    with pytest.raises(AssertionError) as caught:
        await socket.receive_from(SECONDS)
    assert caught.value.args == ("Expected type 'websocket.send', but was 'websocket.close'",)
    assert caught.value.__notes__ == ["The application has closed with code 4000: enough"]
    await socket.disconnect(timeout=SECONDS)


async def test_an_acceptance_instead_of_a_frame() -> None:
    told = await failure(ACCEPT, "receive_json_from")
    assert told.args == ("Expected type 'websocket.send', but was 'websocket.accept'",)


async def test_a_frame_of_nothing() -> None:
    told = await failure({"type": "websocket.send"})
    assert told.args == ("The response needs exactly one of 'text' or 'bytes'",)


async def test_a_frame_of_something_else() -> None:
    told = await failure({"type": "websocket.send", "text": 5})
    assert told.args == ("Text frame payload is not str, it is <class 'int'>",)
    told = await failure({"type": "websocket.send", "bytes": "a"})
    assert told.args == ("Binary frame payload is not bytes, it is <class 'str'>",)


async def test_a_binary_frame_instead_of_json() -> None:
    told = await failure({"type": "websocket.send", "bytes": b"{}"}, "receive_json_from")
    assert told.args == ("JSON data is not a text frame, it is <class 'bytes'>",)


async def test_text_that_is_not_json() -> None:
    frame = {"type": "websocket.send", "text": "{a"}
    told = await failure(frame, "receive_json_from", json.JSONDecodeError)
    expected = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    assert told.args == (expected,)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "You must supply exactly one of text_data or bytes_data"),
        ({"text_data": b"a"}, "The text_data argument must be a str"),
        ({"bytes_data": "a"}, "The bytes_data argument must be bytes"),
    ],
)
async def test_what_cannot_be_sent(arguments: Any, text: str) -> None:
    with pytest.raises(AssertionError) as caught:
        await WebsocketCommunicator(sending(), "/").send_to(**arguments)
    assert caught.value.args == (text,)


# The end


@pytest.mark.parametrize("consumer", [Closing, Refusing])
async def test_wait_on_a_connection_that_goes_on(consumer: Any) -> None:
    socket = WebsocketCommunicator(consumer.as_asgi(), "/")
    await socket.connect(SECONDS)
    await socket.wait(0.01)
    assert socket.future.cancelled()
    await socket.wait()


async def test_disconnect_with_a_slow_end() -> None:
    socket = WebsocketCommunicator(LeavingSlowly.as_asgi(), "/")
    await socket.connect(SECONDS)
    await socket.disconnect(timeout=0.01)
    assert socket.future.cancelled()


async def test_an_application_that_fails_as_it_is_cancelled() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
        except asyncio.CancelledError:
            raise RuntimeError("in the clean-up") from None

    for call in ("wait", "receive_output"):
        communicator = ApplicationCommunicator(application, {"type": "test"})
        with pytest.raises(RuntimeError, match=r"^in the clean-up$"):
            await getattr(communicator, call)(0.01)


@pytest.mark.parametrize("consumer", [Failing, FailingSlowly])
async def test_what_the_application_raised_comes_before_a_time_out(consumer: Any) -> None:
    socket = WebsocketCommunicator(consumer.as_asgi(), "/")
    await socket.connect(SECONDS)
    await socket.send_to("a")
    for call in (
        socket.receive_from(0.01),
        socket.receive_output(0.01),
        socket.receive_nothing(0.01),
        socket.send_to("a"),
        socket.disconnect(),
        socket.wait(),
    ):
        with pytest.raises(ValueError, match=r"^told to fail$"):
            await call


async def test_what_is_raised_after_a_receive_has_timed_out() -> None:
    socket = WebsocketCommunicator(Closing.as_asgi(), "/")
    await socket.connect(SECONDS)
    with pytest.raises(TimeoutError):
        await socket.receive_from(0.01)
    for call in (socket.receive_from(), socket.send_to("a"), socket.disconnect()):
        with pytest.raises(asyncio.CancelledError):
            await call
    await socket.wait()


async def test_receive_nothing_leaves_what_is_raised_meanwhile_to_the_next_call() -> None:
    socket = WebsocketCommunicator(Failing.as_asgi(), "/")
    await socket.connect(SECONDS)
    await socket.send_to("a")
    assert await socket.receive_nothing(0.05) is True
    with pytest.raises(ValueError, match=r"^told to fail$"):
        await socket.wait()


# The live server


def test_the_process_of_daphne_has_its_name() -> None:
    assert getattr(live_module, "DaphneProcess") is DaphneProcess  # noqa: B009 (made on use)
    assert ChannelsLiveServerTestCase.DaphneProcess is DaphneProcess
    assert ChannelsLiveServerTestCase.ProtocolServerProcess is DaphneProcess
