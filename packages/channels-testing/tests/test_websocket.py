import asyncio
import json
from datetime import date
from typing import Any

import pytest

from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import DenyConnection
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels_core.typing import Message, Receive, Scope, Send
from channels_testing.websocket import Denial, WebsocketCommunicator

# A safety net, for a machine under load.
SECONDS = 60


class Echo(WebsocketConsumer):
    def connect(self) -> None:
        offered = self.scope["subprotocols"]
        self.accept(offered[0] if offered else None, headers=[(b"x-room", b"tea")])

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        match text_data:
            case "close":
                self.close(4000, "enough")
            case "fail":
                raise ValueError("told to fail")
            case _:
                self.send(text_data, bytes_data)


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data, bytes_data)


class JsonEcho(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)


class AsyncJsonEcho(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


class Told(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        told.append((code, self.close_reason))


told: list[Any] = []


class Closed(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close(4401)


class Denied(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise DenyConnection(status=402, reason="Pay first.")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


def sending(*messages: Message) -> Any:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await receive()
            await send(message)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return application


ACCEPT: Message = {"type": "websocket.accept"}


class TestConnect:
    async def test_an_acceptance(self) -> None:
        socket = WebsocketCommunicator(Echo.as_asgi(), "/")
        assert await socket.connect(SECONDS) == (True, None)
        assert socket.accepted is True
        assert socket.accept_headers == socket.response_headers == [(b"x-room", b"tea")]
        assert socket.close_code is None
        await socket.disconnect(timeout=SECONDS)

    async def test_a_subprotocol(self) -> None:
        socket = WebsocketCommunicator(Echo, "/", subprotocols=["b", "a"])
        assert await socket.connect(SECONDS) == (True, "b")
        assert socket.subprotocol == "b"
        await socket.disconnect(timeout=SECONDS)

    async def test_properties_before_the_answer(self) -> None:
        socket = WebsocketCommunicator(Echo, "/")
        assert (socket.accepted, socket.subprotocol, socket.accept_headers) == (None, None, [])
        assert socket.response_headers is None
        assert (socket.close_code, socket.close_reason, socket.denial) == (None, "", None)

    async def test_a_refusal(self) -> None:
        socket = WebsocketCommunicator(Closed, "/")
        assert await socket.connect(SECONDS) == (False, 4401)
        assert (socket.accepted, socket.close_code, socket.denial) == (False, 4401, None)
        assert (socket.close_reason, socket.accept_headers, socket.subprotocol) == ("", [], None)
        assert socket.response_headers is None
        await socket.disconnect(timeout=SECONDS)

    async def test_a_refusal_without_a_code(self) -> None:
        socket = WebsocketCommunicator(sending({"type": "websocket.close"}), "/")
        assert await socket.connect(SECONDS) == (False, 1000)

    async def test_a_refusal_by_a_response(self) -> None:
        socket = WebsocketCommunicator(Denied, "/", denial_response=True)
        assert await socket.connect(SECONDS) == (False, 402)
        assert socket.accepted is False
        assert isinstance(socket.denial, Denial)
        assert (socket.denial.status, socket.denial.body) == (402, b"Pay first.")
        assert dict(socket.denial.headers)[b"content-type"] == b"text/plain; charset=utf-8"
        assert socket.close_code is None
        # The server does not support responses.
        socket = WebsocketCommunicator(Denied, "/")
        assert (await socket.connect(SECONDS))[0] is False
        assert socket.denial is None

    async def test_a_refusal_by_a_response_in_parts(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            kind = "websocket.http.response"
            await send({"type": f"{kind}.start", "status": 404})
            await send({"type": f"{kind}.body", "body": b"not ", "more_body": True})
            await send({"type": f"{kind}.body", "body": b"here"})

        socket = WebsocketCommunicator(application, "/", denial_response=True)
        assert await socket.connect(SECONDS) == (False, 404)
        assert socket.denial == Denial(404, [], b"not here")

    async def test_no_answer(self) -> None:
        with pytest.raises(TimeoutError, match="It has sent nothing"):
            await WebsocketCommunicator(silent, "/").connect(0.01)

    async def test_the_answer_may_be_waited_for_again(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            received.append(await receive())
            await late.wait()
            await send(ACCEPT)
            received.append(await receive())

        received: list[Message] = []
        late = asyncio.Event()
        socket = WebsocketCommunicator(application, "/")
        socket.keep_running = True
        with pytest.raises(TimeoutError):
            await socket.connect(0.01)
        late.set()
        assert await socket.connect(SECONDS) == (True, None)
        await socket.disconnect(timeout=SECONDS)
        assert [m["type"] for m in received] == ["websocket.connect", "websocket.disconnect"]

    async def test_once_only(self) -> None:
        async with WebsocketCommunicator(Echo, "/") as socket:
            with pytest.raises(RuntimeError, match=r"is connected already .* make another one"):
                await socket.connect(SECONDS)
            await socket.send_to("a")
            assert await socket.receive_from(SECONDS) == "a"
        socket = WebsocketCommunicator(Closed, "/")
        await socket.connect(SECONDS)
        with pytest.raises(RuntimeError, match="was refused already"):
            await socket.connect(SECONDS)

    async def test_another_answer(self) -> None:
        socket = WebsocketCommunicator(sending({"type": "websocket.send", "text": "a"}), "/")
        with pytest.raises(AssertionError, match="Expected an answer to the handshake, got "):
            await socket.connect(SECONDS)
        start: Message = {"type": "websocket.http.response.start", "status": 404}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start)
            await send(start)

        with pytest.raises(AssertionError, match="Expected a part of the body, got "):
            await WebsocketCommunicator(application, "/").connect(SECONDS)

    async def test_the_scope(self) -> None:
        socket = WebsocketCommunicator(
            silent,
            "/a/?b=c",
            [("X-A", "1")],
            ["chat"],
            "2.3",
            query={"d": "e"},
            scope={"path": "/f/", "url_route": {"kwargs": {"room": "tea"}}},
            cookies={"g": "h"},
        )
        expected = {
            "type": "websocket",
            "path": "/f/",
            "query_string": b"b=c&d=e",
            "headers": [(b"x-a", b"1"), (b"cookie", b"g=h")],
            "subprotocols": ["chat"],
            "spec_version": "2.3",
            "url_route": {"kwargs": {"room": "tea"}},
        }
        assert expected.items() <= socket.scope.items()

    @pytest.mark.parametrize(
        ("given", "extensions"),
        [
            ({"extensions": {"tls": {}}}, {"websocket.http.response": {}, "tls": {}}),
            ({"extensions": None}, {"websocket.http.response": {}}),
            ({}, {"websocket.http.response": {}}),
        ],
    )
    def test_the_responses_join_other_extensions(self, given: Any, extensions: Any) -> None:
        before = {**given}
        socket = WebsocketCommunicator(silent, "/", scope=given, denial_response=True)
        assert socket.scope["extensions"] == extensions
        assert given == before
        socket = WebsocketCommunicator(silent, "/", scope=given)
        assert socket.scope.get("extensions") == given.get("extensions")


class TestFrames:
    @pytest.mark.parametrize("consumer", [Echo, AsyncEcho])
    async def test_text_and_bytes(self, consumer: Any) -> None:
        async with WebsocketCommunicator(consumer, "/") as socket:
            await socket.send_to("hello")
            assert await socket.receive_from(SECONDS) == "hello"
            await socket.send_to(text_data="")
            assert await socket.receive_from(SECONDS) == ""
            await socket.send_to(bytes_data=b"\0")
            assert await socket.receive_from(SECONDS) == b"\0"
            assert await socket.receive_nothing() is True

    @pytest.mark.parametrize("consumer", [JsonEcho, AsyncJsonEcho])
    async def test_json(self, consumer: Any) -> None:
        async with WebsocketCommunicator(consumer, "/") as socket:
            await socket.send_json_to({"a": [1, None]})
            assert await socket.receive_json_from(SECONDS) == {"a": [1, None]}

    async def test_json_of_types_that_django_knows(self) -> None:
        class Shout(json.JSONEncoder):
            def default(self, o: object) -> str:
                return str(o).upper()

        async with WebsocketCommunicator(JsonEcho, "/") as socket:
            await socket.send_json_to({"day": date(2026, 1, 2)})
            assert await socket.receive_json_from(SECONDS) == {"day": "2026-01-02"}
        async with WebsocketCommunicator(JsonEcho, "/", json_encoder=Shout) as socket:
            await socket.send_json_to([int])
            assert await socket.receive_json_from(SECONDS) == ["<CLASS 'INT'>"]

    async def test_subclasses_whose_overrides_take_a_timeout_only(self) -> None:
        class Patient(WebsocketCommunicator):
            async def receive_output(self, timeout: float = 1) -> Any:  # type: ignore[override] # the case
                return await super().receive_output(SECONDS)

            async def receive_from(self, timeout: float = 1) -> Any:  # type: ignore[override] # the case
                return await super().receive_from(timeout)

        async with Patient(AsyncJsonEcho, "/") as socket:
            await socket.send_json_to(["a"])
            assert await socket.receive_json_from() == ["a"]

    @pytest.mark.parametrize(
        ("arguments", "told", "notes"),
        [
            ({}, "You must supply exactly one of text_data or bytes_data", []),
            (
                {"text_data": "a", "bytes_data": b"a"},
                "You must supply exactly one of text_data or bytes_data",
                [],
            ),
            ({"text_data": b"a"}, "The text_data argument must be a str", ["Got b'a'"]),
            ({"bytes_data": "a"}, "The bytes_data argument must be bytes", ["Got 'a'"]),
        ],
    )
    async def test_invalid_frames_are_rejected(
        self, arguments: Any, told: str, notes: list[str]
    ) -> None:
        with pytest.raises(AssertionError) as caught:
            await WebsocketCommunicator(silent, "/").send_to(**arguments)
        assert str(caught.value) == told
        assert getattr(caught.value, "__notes__", []) == notes

    @pytest.mark.parametrize(
        ("message", "told", "note"),
        [
            (
                {"type": "websocket.close", "code": 4000},
                "Expected type 'websocket.send', but was 'websocket.close'",
                "The application has closed with code 4000 and no reason",
            ),
            (
                {"type": "websocket.close", "code": 4000, "reason": "enough"},
                "Expected type 'websocket.send', but was 'websocket.close'",
                "The application has closed with code 4000: enough",
            ),
            (
                {"type": "websocket.accept"},
                "Expected type 'websocket.send', but was 'websocket.accept'",
                "Got {'type': 'websocket.accept'}",
            ),
            (
                {"type": "websocket.send"},
                "The response needs exactly one of 'text' or 'bytes'",
                "Got {'type': 'websocket.send'}",
            ),
            (
                {"type": "websocket.send", "text": "", "bytes": b""},
                "The response needs exactly one of 'text' or 'bytes'",
                "Got {'type': 'websocket.send', 'text': '', 'bytes': b''}",
            ),
            (
                {"type": "websocket.send", "text": 5},
                "Text frame payload is not str, it is <class 'int'>",
                "Got {'type': 'websocket.send', 'text': 5}",
            ),
            (
                {"type": "websocket.send", "bytes": "b"},
                "Binary frame payload is not bytes, it is <class 'str'>",
                "Got {'type': 'websocket.send', 'bytes': 'b'}",
            ),
        ],
    )
    async def test_another_message_instead_of_a_frame(
        self, message: Message, told: str, note: str
    ) -> None:
        async with WebsocketCommunicator(sending(ACCEPT, message), "/") as socket:
            await socket.send_to("a")
            with pytest.raises(AssertionError) as caught:
                await socket.receive_from(SECONDS)
        assert (str(caught.value), caught.value.__notes__) == (told, [note])

    async def test_bytes_instead_of_json(self) -> None:
        frame = {"type": "websocket.send", "bytes": b"[]"}
        async with WebsocketCommunicator(sending(ACCEPT, frame), "/") as socket:
            await socket.send_to("a")
            with pytest.raises(AssertionError) as caught:
                await socket.receive_json_from(SECONDS)
        assert str(caught.value) == "JSON data is not a text frame, it is <class 'bytes'>"
        assert caught.value.__notes__ == ["Got b'[]'"]

    @pytest.mark.parametrize("text", ["{a", "9" * 5000])
    async def test_text_that_is_not_json_raises_an_error_of_json_as_well(self, text: str) -> None:
        frame = {"type": "websocket.send", "text": text}
        async with WebsocketCommunicator(sending(ACCEPT, frame), "/") as socket:
            await socket.send_to("a")
            with pytest.raises(json.JSONDecodeError) as caught:
                await socket.receive_json_from(SECONDS)
        with pytest.raises(ValueError) as plain:  # noqa: PT011 - the text is compared
            json.loads(text)
        assert str(caught.value) == str(plain.value)
        assert caught.value.__notes__ == [f"Expected JSON, got {text!r:.200}"]
        assert isinstance(caught.value, AssertionError)
        assert caught.value.doc == text

    async def test_no_frame_comes(self) -> None:
        async with WebsocketCommunicator(AsyncEcho, "/") as socket:
            for receive in (socket.receive_from, socket.receive_json_from):
                with pytest.raises(TimeoutError, match="alive and waits for a message"):
                    await receive(0.01, keep_running=True)
            await socket.send_to("a")
            assert await socket.receive_from(SECONDS) == "a"

    async def test_the_application_fails(self) -> None:
        async with WebsocketCommunicator(Echo, "/") as socket:
            await socket.send_to("fail")
            with pytest.raises(ValueError, match="told to fail"):
                await socket.receive_from(SECONDS)


class TestDisconnect:
    async def test_code_and_reason(self) -> None:
        for arguments in ((), (1001,), (1001, SECONDS, "bye")):
            socket = WebsocketCommunicator(Told, "/")
            await socket.connect(SECONDS)
            await socket.disconnect(*arguments)
        assert told == [(1000, ""), (1001, ""), (1001, "bye")]

    async def test_one_that_does_not_end(self) -> None:
        class Slow(AsyncConsumer):
            async def websocket_connect(self, message: Message) -> None:
                await asyncio.Event().wait()

        socket = WebsocketCommunicator(Slow, "/")
        await socket.send_input({"type": "websocket.connect"})
        # Until it is there; all of it happens in this event loop.
        for _ in range(100):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError, match=r"did not end .* waits in .*websocket_connect \("):
            await socket.disconnect(timeout=0.01, must_end=True)

    async def test_the_time_is_up(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await asyncio.Event().wait()

        socket = WebsocketCommunicator(application, "/")
        await socket.disconnect(timeout=0.01)
        assert socket.future.cancelled()

    async def test_after_a_receive_that_has_timed_out(self) -> None:
        socket = WebsocketCommunicator(Echo, "/")
        await socket.connect(SECONDS)
        with pytest.raises(TimeoutError):
            await socket.receive_from(0)
        # Tests of programs rely on this.
        with pytest.raises(asyncio.CancelledError):
            await socket.disconnect()


class TestAssertClosed:
    async def test_it_is(self) -> None:
        async with WebsocketCommunicator(Echo, "/") as socket:
            await socket.send_to("close")
            await socket.assert_closed(4000, SECONDS)
            await socket.assert_closed()
            assert (socket.accepted, socket.close_reason) == (True, "enough")

    async def test_it_was_before_the_test_received_it(self) -> None:
        socket = WebsocketCommunicator(Echo, "/")
        await socket.connect(SECONDS)
        await socket.send_to("close")
        await socket.disconnect(timeout=SECONDS)
        assert (socket.close_code, socket.close_reason) == (4000, "enough")
        await socket.assert_closed(4000)

    async def test_with_another_code(self) -> None:
        async with WebsocketCommunicator(Echo, "/") as socket:
            await socket.send_to("close")
            told = (
                "Expected a close with code 1000, but the application has closed with code 4000: en"
            )
            with pytest.raises(AssertionError, match=told):
                await socket.assert_closed(1000, SECONDS)

    async def test_another_message_comes_first(self) -> None:
        async with WebsocketCommunicator(Echo, "/") as socket:
            await socket.send_to("a")
            await socket.send_to("close")
            with pytest.raises(AssertionError, match="Expected the connection to close, got "):
                await socket.assert_closed(timeout=SECONDS)
            await socket.assert_closed(timeout=SECONDS)

    async def test_it_is_not(self) -> None:
        socket = WebsocketCommunicator(Echo, "/")
        await socket.connect(SECONDS)
        with pytest.raises(TimeoutError):
            await socket.assert_closed(timeout=0.01)


class TestAssertDenied:
    async def test_it_is(self) -> None:
        await WebsocketCommunicator(Closed, "/").assert_denied(timeout=SECONDS)
        socket = WebsocketCommunicator(Denied, "/", denial_response=True)
        await socket.assert_denied(402, SECONDS)
        await socket.assert_denied()

    async def test_it_is_accepted(self) -> None:
        with pytest.raises(AssertionError, match="to be refused, but it was accepted"):
            await WebsocketCommunicator(Echo, "/").assert_denied(timeout=SECONDS)

    async def test_without_a_response(self) -> None:
        expected = (
            "Expected a refusal with status 403, but the application has closed with code 4401 and "
            "no reason; only with denial_response=True it may send a response"
        )
        with pytest.raises(AssertionError, match=expected):
            await WebsocketCommunicator(Closed, "/").assert_denied(403, SECONDS)

    async def test_with_another_status(self) -> None:
        socket = WebsocketCommunicator(Denied, "/", denial_response=True)
        with pytest.raises(AssertionError, match=r"with status 403, got 402: b'Pay first\.'"):
            await socket.assert_denied(403, SECONDS)


class TestContext:
    async def test_it_connects_and_leaves(self) -> None:
        told.clear()
        async with WebsocketCommunicator(Told, "/") as socket:
            assert socket.accepted
        assert told == [(1000, "")]
        assert socket.future.done()

    async def test_the_disconnect_has_the_code_of_an_application_that_closed(self) -> None:
        class Closing(Told):
            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                await self.close(4000)

        told.clear()
        async with WebsocketCommunicator(Closing, "/") as socket:
            await socket.send_to("a")
            await socket.assert_closed(4000, SECONDS)
        assert [code for code, _ in told] == [4000]

    async def test_an_application_that_does_not_end(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            await asyncio.Event().wait()

        with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s\. "):
            async with WebsocketCommunicator(application, "/") as socket:
                socket.context_timeout = 0.1
        assert socket.future.cancelled()

    async def test_one_that_has_left(self) -> None:
        async with WebsocketCommunicator(Echo, "/") as socket:
            await socket.disconnect(timeout=SECONDS)

    @pytest.mark.parametrize(
        ("application", "refusal"),
        [
            (Closed, "the application has closed with code 4401 and no reason"),
            (Denied, "status 402, b'Pay first.'"),
        ],
    )
    async def test_a_refusal(self, application: Any, refusal: str) -> None:
        socket = WebsocketCommunicator(application, "/", denial_response=True)
        with pytest.raises(AssertionError, match=f"^The connection was refused: {refusal}$"):
            async with socket:
                pytest.fail("it was accepted")
        assert socket.future.done()

    async def test_a_failure_of_the_test(self) -> None:
        with pytest.raises(AssertionError, match="of the test"):
            async with WebsocketCommunicator(Echo, "/") as socket:
                raise AssertionError("of the test")
        assert socket.future.done()

    async def test_messages_without_a_type(self) -> None:
        socket = WebsocketCommunicator(sending({}), "/")
        with pytest.raises(AssertionError, match=r"got \{\}"):
            await socket.connect(SECONDS)
        assert socket.accepted is None
        socket.stop()

    async def test_how_long_it_waits(self) -> None:
        class Hurried(WebsocketCommunicator):
            context_timeout = 0

            async def connect(self, timeout: float = 1) -> tuple[bool, Any]:
                waited.append(timeout)
                return True, None

            async def disconnect(  # type: ignore[override] # as programs have it
                self, code: int = 1000, timeout: float = 1, reason: str = ""
            ) -> None:
                waited.append(timeout)

        waited: list[float] = []
        async with Hurried(silent, "/") as socket:
            pass
        assert waited == [0, 0]
        socket.stop()
