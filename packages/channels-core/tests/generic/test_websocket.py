import asyncio
import json
import logging
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from django.core.serializers.json import DjangoJSONEncoder

from channels_core.consumer import AsyncConsumer, SyncConsumer, hook
from channels_core.exceptions import (
    AcceptConnection,
    ConnectionStateError,
    DenyConnection,
    InvalidFrame,
    StopConsumer,
)
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels_core.typing import Message, Scope
from colours import both_colours, consumer, throw
from fakes import LocalLayer, Server, until

DENIAL: Scope = {"extensions": {"websocket.http.response": {}}}


def recorder() -> tuple[list[Any], Any]:
    """Return a list, and a `disconnect` that adds the code and the reason to it."""
    seen: list[Any] = []

    def disconnect(self: Any, code: int) -> Any:
        seen.append((code, self.close_code, self.close_reason))
        yield None

    return seen, disconnect


# The handshake


@both_colours
async def test_accepts_by_default_and_echoes(colour: str) -> None:
    def receive(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> Any:
        yield self.send(text_data=text_data, bytes_data=bytes_data)

    seen, disconnect = recorder()
    server = Server(consumer(colour, receive=receive, disconnect=disconnect).as_asgi())
    assert await server.connect() == [{"type": "websocket.accept", "subprotocol": None}]
    server.text("hello")
    server.put({"type": "websocket.receive", "bytes": b"\0\1"})
    server.put({"type": "websocket.receive", "text": None, "bytes": b""})
    assert await server.reply(3) == [
        {"type": "websocket.send", "text": "hello"},
        {"type": "websocket.send", "bytes": b"\0\1"},
        {"type": "websocket.send", "bytes": b""},
    ]
    await server.leave(1001, reason="bye")
    assert seen == [(1001, 1001, "bye")]


@both_colours
async def test_a_handler_that_does_nothing_ignores_frames(colour: str) -> None:
    server = Server(consumer(colour).as_asgi())
    await server.connect()
    server.text("hello")
    await server.leave()
    assert len(server.received) == 1


@both_colours
async def test_a_missing_close_code_is_the_one_for_none(colour: str) -> None:
    seen, disconnect = recorder()
    server = Server(consumer(colour, disconnect=disconnect).as_asgi())
    await server.connect()
    server.put({"type": "websocket.disconnect"})
    await server.end()
    assert seen == [(1005, 1005, "")]


@both_colours
async def test_accepts_with_headers_and_an_offered_subprotocol(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    def connect(self: Any) -> Any:
        yield self.accept("chat.v2", headers={"X-Room": "1"})

    server = Server(consumer(colour, connect=connect).as_asgi(), {"subprotocols": ["chat.v2"]})
    assert await server.connect() == [
        {"type": "websocket.accept", "subprotocol": "chat.v2", "headers": [(b"X-Room", b"1")]}
    ]
    await server.leave()
    assert not caplog.records


@both_colours
async def test_a_subprotocol_that_was_not_offered_is_warned_of(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    def connect(self: Any) -> Any:
        yield self.accept("chat.v2")

    server = Server(consumer(colour, connect=connect).as_asgi(), {"subprotocols": ["chat.v1"]})
    await server.connect()
    await server.leave()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "'chat.v2'" in record.getMessage()
    assert "'chat.v1'" in record.getMessage()


@both_colours
async def test_signals_answer_the_handshake(colour: str) -> None:
    def accepting(self: Any) -> Any:
        yield throw(AcceptConnection())

    def denying(self: Any) -> Any:
        yield throw(DenyConnection(4003, "no entry"))

    server = Server(consumer(colour, connect=accepting).as_asgi())
    assert await server.connect() == [{"type": "websocket.accept", "subprotocol": None}]
    await server.leave()
    server = Server(consumer(colour, connect=denying).as_asgi())
    assert await server.connect() == [
        {"type": "websocket.close", "code": 4003, "reason": "no entry"}
    ]
    await server.leave(1006)


@both_colours
async def test_denies_with_a_response_where_it_is_offered(colour: str) -> None:
    def connect(self: Any) -> Any:
        yield throw(DenyConnection(4004, "no such room", status=404))

    denying = consumer(colour, connect=connect).as_asgi()
    server = Server(denying, DENIAL)
    server.put({"type": "websocket.connect"})
    start, body = await server.reply(2)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
    assert (b"content-length", b"12") in start["headers"]
    assert body == {"type": "websocket.http.response.body", "body": b"no such room"}
    await server.leave(1006)
    server = Server(denying)
    assert await server.connect() == [
        {"type": "websocket.close", "code": 4004, "reason": "no such room"}
    ]
    await server.leave(1006)


@both_colours
async def test_deny_has_its_place_and_happens_once(colour: str) -> None:
    def connect(self: Any) -> Any:
        yield self.deny(401, {"WWW-Authenticate": "Bearer"}, "who are you")
        yield self.deny(500)
        yield self.close()

    def late(self: Any) -> Any:
        yield self.accept()
        yield self.deny()

    server = Server(consumer(colour, connect=connect).as_asgi(), DENIAL)
    await server.connect()
    await server.leave(1006)
    assert [message.get("status") for message in server.received] == [401, None]
    server = Server(consumer(colour, connect=late).as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(ConnectionStateError, match="call close"):
        await server.end()


# Closing, and what may be sent when


@both_colours
async def test_closes_once(colour: str) -> None:
    seen, disconnect = recorder()

    def receive(self: Any, text_data: str) -> Any:
        assert self.is_open
        yield self.send("last", close=4001)
        assert not self.is_open
        yield self.close()

    server = Server(consumer(colour, receive=receive, disconnect=disconnect).as_asgi())
    await server.connect()
    server.text("x")
    assert await server.reply(2) == [
        {"type": "websocket.send", "text": "last"},
        {"type": "websocket.close", "code": 4001},
    ]
    await server.leave(4001)
    assert seen == [(4001, 4001, "")]
    assert len(server.received) == 3


@both_colours
async def test_the_state_asks_for_accept_first(colour: str) -> None:
    def connect(self: Any) -> Any:
        yield self.send("too early")

    server = Server(consumer(colour, connect=connect).as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(ConnectionStateError, match="accept\\(\\) first"):
        await server.end()


@both_colours
@pytest.mark.parametrize("call", ["accept", "send"])
async def test_after_our_own_close_a_call_is_an_error(colour: str, call: str) -> None:
    def receive(self: Any, text_data: str) -> Any:
        yield self.close()
        yield self.send("x") if call == "send" else self.accept()

    server = Server(consumer(colour, receive=receive).as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(ConnectionStateError, match="close"):
        await server.end()


@both_colours
async def test_a_second_accept_is_an_error(colour: str) -> None:
    def connect(self: Any) -> Any:
        yield self.accept()
        yield self.accept()

    server = Server(consumer(colour, connect=connect).as_asgi())
    server.put({"type": "websocket.connect"})
    with pytest.raises(ConnectionStateError, match="connection that is open"):
        await server.end()


@both_colours
async def test_after_the_client_has_left_calls_do_nothing(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django.channels.consumer")

    def disconnect(self: Any, code: int) -> Any:
        yield self.send("x")
        yield self.close()
        yield self.accept()
        yield self.deny()

    server = Server(consumer(colour, disconnect=disconnect).as_asgi())
    await server.connect()
    await server.leave()
    assert len(server.received) == 1
    assert len(caplog.records) == 4
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


@both_colours
async def test_a_layer_message_that_crosses_our_close_sends_nothing(
    colour: str, layer: LocalLayer
) -> None:
    handled: list[str] = []

    def receive(self: Any, text_data: str) -> Any:
        yield self.close()

    def note(self: Any, event: Any) -> Any:
        yield self.send("x")
        handled.append(event["type"])

    server = Server(consumer(colour, receive=receive, note=note, groups=["g"]).as_asgi())
    await server.connect()
    server.text("x")
    await server.reply()
    await layer.group_send("g", {"type": "note"})
    await until(lambda: bool(handled))
    assert not server.task.done()
    await server.leave()
    assert len(server.received) == 2


@both_colours
async def test_a_server_that_cannot_send_any_more_ends_the_consumer_quietly(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen, disconnect = recorder()
    frames: list[str] = []

    def receive(self: Any, text_data: str) -> Any:
        frames.append(text_data)
        yield self.send("x")

    server = Server(
        consumer(colour, receive=receive, disconnect=disconnect, groups=["g"]).as_asgi()
    )
    await server.connect()
    server.fault = OSError("the client is gone")
    server.text("1", "2")
    await server.end()
    assert frames == ["1", "2"]
    assert seen == [(1006, 1006, "")]
    assert layer.members == 0
    assert not caplog.records


@both_colours
async def test_a_consumer_without_a_server_does_not_need_a_handshake(colour: str) -> None:
    sent: list[Any] = []

    def frame(self: Any) -> Any:
        yield self.send(text_data="x")
        yield self.close(4000)

    bare = consumer(colour, frame=frame)()

    async def base_send(message: Any) -> None:
        sent.append(message)

    bare.base_send = base_send if colour == "async" else sent.append
    if colour == "async":
        await bare.frame()
    else:
        bare.frame()
    assert [message["type"] for message in sent] == ["websocket.send", "websocket.close"]


async def test_data_of_the_wrong_kind_is_refused_with_a_hint() -> None:
    bare = AsyncWebsocketConsumer()
    with pytest.raises(ValueError, match="one of bytes_data or text_data"):
        await bare.send()
    with pytest.raises(TypeError, match="send_json"):
        await bare.send({"a": 1})  # type: ignore[arg-type] # what is tested
    with pytest.raises(TypeError, match="must be bytes, not list"):
        await bare.send(bytes_data=[1])  # type: ignore[arg-type] # what is tested


async def test_an_attribute_of_a_programs_own_may_have_our_names() -> None:
    program = AsyncWebsocketConsumer()
    assert program.is_open is False
    vars(program)["is_open"] = "mine"
    assert vars(program)["is_open"] == program.is_open


@both_colours
async def test_frames_that_cross_our_close_are_not_handled(colour: str) -> None:
    frames: list[str] = []

    def receive_json(self: Any, content: Any) -> Any:
        frames.append(content)
        yield self.close()

    server = Server(consumer(colour, json=True, receive_json=receive_json).as_asgi())
    await server.connect()
    server.text('"bye"', '"hello"', "{bad")
    await server.leave()
    assert frames == ["bye"]
    assert [message["type"] for message in server.received[1:]] == ["websocket.close"]


@both_colours
async def test_a_close_that_cannot_be_sent_leaves_the_connection_open(colour: str) -> None:
    seen, disconnect = recorder()

    def receive(self: Any, text_data: str) -> Any:
        yield self.close(4001)

    server = Server(consumer(colour, receive=receive, disconnect=disconnect).as_asgi())
    await server.connect()
    server.fault = RuntimeError("refused")
    server.text("x")
    with pytest.raises(RuntimeError, match="refused"):
        await server.end()
    assert seen == [(1006, 1006, "")]


@both_colours
@pytest.mark.parametrize(
    ("code", "reason", "fault"),
    [(999, None, "1000 to 4999, not 999"), ("x", None, "not 'x'"), (4000, "é" * 62, "not 124")],
)
async def test_a_close_that_no_server_could_send_says_so(
    colour: str, code: Any, reason: str | None, fault: str
) -> None:
    def receive(self: Any, text_data: str) -> Any:
        yield self.close(code, reason)

    server = Server(consumer(colour, receive=receive).as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(ValueError, match=fault):
        await server.end()


@both_colours
@pytest.mark.parametrize("answer", ["accept", "close"])
async def test_a_program_may_answer_the_handshake_by_itself(colour: str, answer: str) -> None:
    def connect(self: Any) -> Any:
        yield self.base_send({"type": f"websocket.{answer}"})
        if self.is_open:
            yield self.send("hello")

    server = Server(consumer(colour, connect=connect).as_asgi())
    await server.connect()
    await server.leave()
    sent = [message["type"].removeprefix("websocket.") for message in server.received]
    assert sent == ([answer, "send"] if answer == "accept" else [answer])


# Input


@both_colours
async def test_a_multiplexer_may_accept_for_its_consumers(colour: str, layer: LocalLayer) -> None:
    """As channels-demultiplexer does: it takes the place of each consumer's own method."""

    async def nothing() -> None:
        pass

    def replace(self: Any) -> None:
        self.accept = nothing if colour == "async" else lambda: None

    def news(self: Any, message: Message) -> Any:
        yield self.send(text_data=message["text"])

    server = Server(consumer(colour, groups=["all"], __init__=replace, news=news).as_asgi())
    server.put({"type": "websocket.connect"})
    await until(lambda: layer.members > 0)
    await layer.group_send("all", {"type": "news", "text": "pushed"})
    assert await server.reply() == [{"type": "websocket.send", "text": "pushed"}]
    await server.leave()


@both_colours
async def test_a_frame_over_the_limit_closes_with_1009(colour: str) -> None:
    frames: list[Any] = []

    def receive(self: Any, **frame: Any) -> Any:
        frames.append(frame)
        yield None

    server = Server(consumer(colour, receive=receive, max_message_size=4).as_asgi())
    await server.connect()
    server.text("éé", "abcd")
    server.put({"type": "websocket.receive", "bytes": b"abcd"})
    server.text("ééé")
    with pytest.raises(InvalidFrame, match="max_message_size"):
        await server.end()
    assert frames == [{"text_data": "éé"}, {"text_data": "abcd"}, {"bytes_data": b"abcd"}]
    assert server.received[-1] == {"type": "websocket.close", "code": 1009}


@both_colours
async def test_a_binary_frame_over_the_limit_is_refused(colour: str) -> None:
    server = Server(consumer(colour, max_message_size=4).as_asgi())
    await server.connect()
    server.put({"type": "websocket.receive", "bytes": b"abcde"})
    with pytest.raises(InvalidFrame):
        await server.end()


class _AsyncText(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:  # type: ignore[override] # as programs do
        await self.send(text_data)


class _AsyncBytes(AsyncWebsocketConsumer):
    async def receive(self, bytes_data: bytes) -> None:  # type: ignore[override] # as programs do
        await self.send(bytes_data=bytes_data)


class _SyncText(WebsocketConsumer):
    def receive(self, text_data: str) -> None:  # type: ignore[override] # as programs do
        self.send(text_data)


class _SyncBytes(WebsocketConsumer):
    def receive(self, bytes_data: bytes) -> None:  # type: ignore[override] # as programs do
        self.send(bytes_data=bytes_data)


TAKING: dict[tuple[str, str], Any] = {
    ("async", "text"): _AsyncText,
    ("async", "bytes"): _AsyncBytes,
    ("sync", "text"): _SyncText,
    ("sync", "bytes"): _SyncBytes,
}


@both_colours
async def test_a_type_error_of_the_program_is_its_own(colour: str) -> None:
    def receive(self: Any, text_data: str) -> Any:
        yield throw(TypeError("of its own"))

    server = Server(consumer(colour, receive=receive).as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(TypeError, match="of its own"):
        await server.end()


@both_colours
@pytest.mark.parametrize("where", ["receive", "websocket_receive"])
async def test_a_program_may_catch_bad_json_as_on_upstream(colour: str, where: str) -> None:
    base: Any = {"async": AsyncJsonWebsocketConsumer, "sync": JsonWebsocketConsumer}[colour]

    def catching(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            yield getattr(super(type(self), self), where)(*args, **kwargs)
        except json.JSONDecodeError as error:
            yield self.send_json({"bad at": error.pos})

    program = consumer(colour, json=True, **{where: catching})
    assert issubclass(program, base)
    server = Server(program.as_asgi())
    await server.connect()
    server.text("{bad", "{worse")
    assert [message["text"] for message in await server.reply(2)] == ['{"bad at": 1}'] * 2
    await server.leave()


@both_colours
async def test_an_error_of_the_program_s_own_decoder_is_caught_as_such(colour: str) -> None:
    class Refused(ValueError):
        pass

    def decode_json(cls: Any, text_data: str) -> Any:
        yield throw(Refused(text_data))

    program = consumer(colour, json=True)
    coloured = consumer(colour, decode_json=decode_json).decode_json
    program.decode_json = classmethod(coloured)
    server = Server(program.as_asgi())
    await server.connect()
    server.text("a password")
    with pytest.raises(InvalidFrame, match=r"cannot be decoded: Refused$") as raised:
        await server.end()
    assert isinstance(raised.value.__cause__, Refused)
    assert server.received[-1] == {"type": "websocket.close", "code": 1007}


@both_colours
@pytest.mark.parametrize("expected", ["text", "bytes"])
async def test_a_frame_of_a_kind_that_the_program_does_not_take_closes_with_1003(
    colour: str, expected: str
) -> None:
    frames: list[dict[str, Any]] = [{"text": "x"}, {"bytes": b"x"}]
    good, bad = frames if expected == "text" else reversed(frames)
    fault = "where text is" if expected == "text" else "where binary ones are"
    server = Server(TAKING[colour, expected].as_asgi())
    await server.connect()
    server.put({"type": "websocket.receive", **good})
    await server.reply()
    server.put({"type": "websocket.receive", **bad})
    with pytest.raises(InvalidFrame, match=fault):
        await server.end()
    assert server.received[-1] == {"type": "websocket.close", "code": 1003}


@both_colours
async def test_a_frame_with_nothing_in_it_is_refused(colour: str) -> None:
    server = Server(consumer(colour).as_asgi())
    await server.connect()
    server.put({"type": "websocket.receive"})
    with pytest.raises(InvalidFrame, match="neither text nor bytes"):
        await server.end()


@both_colours
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"text": "{bad"}, 1007),
        ({"text": ""}, 1007),
        ({"text": "NaN"}, 1007),
        ({"text": "[-Infinity]"}, 1007),
        ({"text": "[" * 100_000}, 1007),
        ({"bytes": b"{}"}, 1003),
    ],
)
async def test_a_frame_that_is_not_json_closes_with_its_code(
    colour: str, frame: dict[str, Any], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    seen, disconnect = recorder()
    server = Server(consumer(colour, json=True, disconnect=disconnect).as_asgi())
    await server.connect()
    server.put({"type": "websocket.receive", **frame})
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - as programs pin it
        await server.end()
    assert isinstance(caught.value, InvalidFrame)
    assert server.received[-1] == {"type": "websocket.close", "code": code}
    assert seen == [(code, code, "")]
    # The outermost router has the last word on it.
    assert not caplog.records


@both_colours
async def test_a_server_that_keeps_the_low_codes_to_itself_gets_a_private_one(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Daphne(Server):
        async def _send(self, message: Message) -> None:
            if message.get("code", 1000) not in (1000, *range(3000, 5000)):
                raise Exception("invalid close code")
            await super()._send(message)

    seen, disconnect = recorder()
    server = Daphne(consumer(colour, json=True, disconnect=disconnect).as_asgi())
    await server.connect()
    server.text("{bad")
    with pytest.raises(InvalidFrame, match="Expecting property name"):
        await server.end()
    assert server.received[-1] == {"type": "websocket.close", "code": 4007}
    assert seen == [(4007, 4007, "")]
    assert not caplog.records


@both_colours
async def test_a_program_may_keep_the_connection_over_a_bad_frame(colour: str) -> None:
    @hook
    def invalid_frame(self: Any, error: InvalidFrame) -> Any:
        yield self.send_json({"error": str(error), "code": error.code})

    server = Server(consumer(colour, json=True, invalid_frame=invalid_frame).as_asgi())
    await server.connect()
    server.text("{bad")
    [answer] = await server.reply()
    assert json.loads(answer["text"])["code"] == 1007
    await server.leave()


@both_colours
async def test_json_goes_in_and_out(colour: str) -> None:
    def receive_json(self: Any, content: Any, **kwargs: Any) -> Any:
        yield self.send_json({"got": content})

    server = Server(consumer(colour, json=True, receive_json=receive_json).as_asgi())
    await server.connect()
    server.text('{"a": [1, "é"]}')
    [answer] = await server.reply()
    assert json.loads(answer["text"]) == {"got": {"a": [1, "é"]}}
    await server.leave()


@both_colours
async def test_a_json_consumer_ignores_what_it_does_not_handle(colour: str) -> None:
    server = Server(consumer(colour, json=True).as_asgi())
    await server.connect()
    server.text("{}")
    await server.leave()
    assert len(server.received) == 1


@both_colours
async def test_the_json_encoder_can_be_chosen(colour: str) -> None:
    from uuid import UUID

    def receive_json(self: Any, content: Any) -> Any:
        yield self.send_json(UUID(int=7), close=True)

    server = Server(
        consumer(
            colour, json=True, receive_json=receive_json, json_encoder=DjangoJSONEncoder
        ).as_asgi()
    )
    await server.connect()
    server.text("1")
    sent, closed = await server.reply(2)
    assert sent["text"] == f'"{UUID(int=7)}"'
    assert closed == {"type": "websocket.close"}
    await server.leave()


# Every way out


def counting(seen: list[Any], **more: Any) -> dict[str, Any]:
    def disconnect(self: Any, code: int) -> Any:
        seen.append(code)
        yield None

    return {"groups": ["g"], "disconnect": disconnect, **more}


def fails(self: Any, *args: Any, **kwargs: Any) -> Any:
    yield throw(LookupError("broken"))


@both_colours
@pytest.mark.parametrize("where", ["connect", "receive", "note"])
async def test_an_exception_in_a_handler_leaves_nothing(
    colour: str, where: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    server = Server(consumer(colour, **counting(seen, **{where: fails})).as_asgi())
    await server.connect()
    if where == "receive":
        server.text("x")
    else:
        await layer.group_send("g", {"type": "note"})
    with pytest.raises(LookupError, match="broken"):
        await server.end()
    assert seen == [1006]
    assert layer.members == 0
    [record] = caplog.records
    assert record.name == "django.channels.consumer"


@both_colours
async def test_cancellation_leaves_nothing(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    server = Server(consumer(colour, **counting(seen)).as_asgi())
    await server.connect()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert seen == [1006]
    assert layer.members == 0
    assert not caplog.records


@both_colours
async def test_an_error_of_the_layer_leaves_nothing(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    layer.faults["receive"] = ConnectionError("no layer")
    server = Server(consumer(colour, **counting(seen)).as_asgi())
    await server.connect()
    await layer.group_send("g", {"type": "note"})
    with pytest.raises(ConnectionError, match="no layer"):
        await server.end()
    assert seen == [1006]
    assert layer.members == 0
    assert len(caplog.records) == 1


@both_colours
async def test_a_failed_send_leaves_nothing(colour: str, layer: LocalLayer) -> None:
    seen: list[Any] = []

    def receive(self: Any, text_data: str) -> Any:
        yield self.send("x")

    server = Server(consumer(colour, **counting(seen, receive=receive)).as_asgi())
    await server.connect()
    server.fault = RuntimeError("protocol violated")
    server.text("x")
    with pytest.raises(RuntimeError, match="protocol violated"):
        await server.end()
    assert seen == [1006]
    assert layer.members == 0


@both_colours
async def test_disconnect_runs_though_the_groups_cannot_be_left(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    layer.faults["group_discard"] = LookupError("no layer")
    server = Server(consumer(colour, **counting(seen)).as_asgi())
    await server.connect()
    server.put({"type": "websocket.disconnect", "code": 1000})
    with pytest.raises(LookupError, match="no layer"):
        await server.end()
    assert seen == [1000]
    assert len(caplog.records) == 1


@both_colours
async def test_the_first_exception_is_raised_and_a_second_one_logged(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    def disconnect(self: Any, code: int) -> Any:
        yield throw(ArithmeticError("second"))

    layer.faults["group_discard"] = LookupError("third")
    server = Server(consumer(colour, groups=["g"], receive=fails, disconnect=disconnect).as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(LookupError, match="broken"):
        await server.end()
    logged = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    # The first error of the clean-up is reported as what ended it, after the rest of it ran.
    assert logged == ["broken", "second", "third"]


@both_colours
async def test_disconnect_may_stop_the_consumer_itself(colour: str, layer: LocalLayer) -> None:
    def disconnect(self: Any, code: int) -> Any:
        yield throw(StopConsumer())

    server = Server(consumer(colour, groups=["g"], disconnect=disconnect).as_asgi())
    await server.connect()
    await server.leave()
    assert layer.members == 0


@both_colours
async def test_disconnect_is_not_called_again_when_it_was_cut_short(
    colour: str, layer: LocalLayer
) -> None:
    class Halting(LocalLayer):
        async def group_discard(self, group: str, channel: str) -> None:
            await super().group_discard(group, channel)
            if group == "late" and ("group_discard", "late") not in self.calls[:-1]:
                halted.set()
                await asyncio.Event().wait()

    from channels_core.layers import channel_layers

    halted = asyncio.Event()
    seen: list[Any] = []

    def disconnect(self: Any, code: int) -> Any:
        seen.append(code)
        yield self.join_group("late")

    halting = Halting()
    channel_layers.set("default", halting)
    server = Server(consumer(colour, groups=["g"], disconnect=disconnect).as_asgi())
    await server.connect()
    server.put({"type": "websocket.disconnect", "code": 1000})
    await halted.wait()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert seen == [1000]
    assert halting.members == 0


@both_colours
async def test_a_program_may_handle_the_disconnect_message_itself(
    colour: str, layer: LocalLayer
) -> None:
    seen: list[Any] = []

    def websocket_disconnect(self: Any, message: Any) -> Any:
        yield throw(StopConsumer())

    server = Server(
        consumer(colour, **counting(seen, websocket_disconnect=websocket_disconnect)).as_asgi()
    )
    await server.connect()
    await server.leave(4321)
    assert seen == [4321]
    assert layer.members == 0


async def test_clean_up_survives_a_cancellation_in_its_midst(layer: LocalLayer) -> None:
    started, seen = asyncio.Event(), []

    class Program(AsyncWebsocketConsumer):
        groups = ["g"]

        async def disconnect(self, code: int) -> None:
            seen.append(code)
            await self.join_group("late")
            started.set()
            await asyncio.Event().wait()

    server = Server(Program.as_asgi())
    await server.connect()
    server.put({"type": "websocket.disconnect", "code": 1000})
    await started.wait()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert seen == [1000]
    assert layer.members == 0


async def test_clean_up_survives_cancellation_again_and_again(layer: LocalLayer) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    seen = []

    class Program(AsyncWebsocketConsumer):
        groups = ["g"]

        async def disconnect(self, code: int) -> None:
            started.set()
            await go_on.wait()
            seen.append(code)

    server = Server(Program.as_asgi())
    await server.connect()
    for _ in range(3):
        server.task.cancel()
        await started.wait()
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await server.task
    assert seen == [1006]
    assert layer.members == 0


@pytest.mark.parametrize("leaving", [True, False])
async def test_the_time_for_clean_up_is_bounded(
    leaving: bool, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Program(AsyncWebsocketConsumer, cleanup_timeout=0.01):
        groups = ["g"]

        async def disconnect(self, code: int) -> None:
            await asyncio.Event().wait()

    server = Server(Program.as_asgi())
    await server.connect()
    if leaving:
        server.put({"type": "websocket.disconnect", "code": 1000})
        with pytest.raises(TimeoutError):
            await server.end()
    else:
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert "given up" in caplog.text
    assert layer.members == 0


async def test_ten_thousand_connections_leave_nothing_behind(layer: LocalLayer) -> None:
    class Program(AsyncWebsocketConsumer):
        groups = ["everyone"]

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.join_group("more")
            if text_data == "fail":
                raise LookupError

        @hook
        def report_exception(self, *args: object) -> None:
            pass

    application = Program.as_asgi()
    before = asyncio.all_tasks()
    for _ in range(100):
        servers = [Server(application) for _ in range(100)]
        for number, server in enumerate(servers):
            server.put({"type": "websocket.connect"})
            server.text("fail" if number % 3 == 0 else "x")
            if number % 3 == 1:
                server.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.gather(*(server.replies(1) for server in servers))
        for server in servers[2::3]:
            server.task.cancel()
        await asyncio.gather(*(server.task for server in servers), return_exceptions=True)
    assert layer.made == 10_000
    assert layer.members == 0
    assert asyncio.all_tasks() == before


@both_colours
async def test_a_program_may_catch_that_the_client_has_left(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen, disconnect = recorder()

    def receive(self: Any, text_data: str) -> Any:
        try:
            yield self.send("x")
        except OSError as error:
            seen.append((str(error), self.is_open))
        yield self.send("y")
        yield self.close()

    server = Server(consumer(colour, receive=receive, disconnect=disconnect).as_asgi())
    await server.connect()
    server.fault = OSError("the client is gone")
    server.text("1")
    await server.end()
    assert seen == [("the client is gone", False), (1006, 1006, "")]
    assert not caplog.records


@both_colours
async def test_a_message_of_the_layer_may_find_the_client_gone(
    colour: str, layer: LocalLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen, disconnect = recorder()

    def news(self: Any, message: Message) -> Any:
        yield self.send("x")
        seen.append("never")

    server = Server(consumer(colour, groups=["g"], news=news, disconnect=disconnect).as_asgi())
    await server.connect()
    server.fault = OSError("the client is gone")
    await layer.group_send("g", {"type": "news"})
    await server.end()
    assert seen == [(1006, 1006, "")]
    assert not caplog.records


@both_colours
async def test_an_accept_that_finds_the_client_gone_ends_the_consumer_quietly(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen, disconnect = recorder()
    errors: list[str] = []

    def connect(self: Any) -> Any:
        try:
            yield self.accept()
        except OSError as error:
            errors.append(str(error))
            yield throw(error)

    server = Server(consumer(colour, connect=connect, disconnect=disconnect).as_asgi())
    server.fault = OSError("the client is gone")
    server.put({"type": "websocket.connect"})
    await server.end()
    assert errors == ["the client is gone"]
    assert seen == [(1006, 1006, "")]
    assert not caplog.records


@both_colours
async def test_a_close_that_finds_the_client_gone_leaves_the_connection_closed(colour: str) -> None:
    seen, disconnect = recorder()

    def receive(self: Any, text_data: str) -> Any:
        yield self.close(4001)

    server = Server(consumer(colour, receive=receive, disconnect=disconnect).as_asgi())
    await server.connect()
    server.fault = OSError("the client is gone")
    server.text("1")
    await server.end()
    assert seen == [(1006, 1006, "")]


@both_colours
async def test_an_error_of_the_programs_own_is_one_though_the_client_left(colour: str) -> None:
    def receive(self: Any, text_data: str) -> Any:
        try:
            yield self.send("x")
        except OSError as error:
            yield throw(OSError(f"another one: {error}"))

    server = Server(consumer(colour, receive=receive).as_asgi())
    await server.connect()
    server.fault = OSError("gone")
    server.text("1")
    with pytest.raises(OSError, match="another one: gone"):
        await server.end()


@both_colours
async def test_a_bad_frame_of_a_client_that_has_left_is_reported(colour: str) -> None:
    server = Server(consumer(colour, json=True).as_asgi())
    await server.connect()
    server.fault = OSError("gone")
    server.text("{")
    with pytest.raises(InvalidFrame):
        await server.end()


@both_colours
async def test_a_bad_frame_is_reported_if_the_server_tells_of_the_end_late(colour: str) -> None:
    def base_send(message: Message) -> Any:
        sent.append(message["code"])
        # As Uvicorn, while the connection breaks.
        raise RuntimeError("refused") if len(sent) == 1 else OSError("gone")

    async def base_send_async(message: Message) -> None:
        base_send(message)

    def connect(self: Any) -> Any:
        yield self.accept()
        self.base_send = base_send if colour == "sync" else base_send_async

    sent: list[int] = []
    server = Server(consumer(colour, json=True, connect=connect).as_asgi())
    await server.connect()
    server.text("{")
    with pytest.raises(InvalidFrame):
        await server.end()
    assert sent == [1007, 4007]


@both_colours
@pytest.mark.parametrize("calls_ours", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_an_end_of_our_own_making_goes_through_the_programs_handler(
    colour: str, calls_ours: bool, fails: bool, layer: LocalLayer
) -> None:
    seen, disconnect = recorder()

    def receive(self: Any, text_data: str) -> Any:
        yield throw(LookupError("first"))

    def websocket_disconnect(self: Any, message: Message) -> Any:
        seen.append(message)
        if fails:
            yield throw(ArithmeticError("second"))
        if calls_ours:
            yield super(program, self).websocket_disconnect(message)

    program = consumer(
        colour,
        receive=receive,
        disconnect=disconnect,
        websocket_disconnect=websocket_disconnect,
        groups=["g"],
    )
    server = Server(program.as_asgi())
    await server.connect()
    server.text("x")
    with pytest.raises(LookupError, match="first"):
        await server.end()
    end = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert seen == [end, (1006, 1006, "")]
    assert layer.members == 0


@both_colours
async def test_a_program_may_have_its_own_handler_for_the_end(colour: str) -> None:
    seen, disconnect = recorder()

    def websocket_disconnect(self: Any, message: Message) -> Any:
        seen.append(message["type"])
        yield super(program, self).websocket_disconnect(message)

    program = consumer(colour, disconnect=disconnect, websocket_disconnect=websocket_disconnect)
    server = Server(program.as_asgi())
    await server.connect()
    await server.leave(4000)
    assert seen == ["websocket.disconnect", (4000, 4000, "")]


class Loud:
    """A mixin that a program puts between our classes."""

    def send(self, message: Message) -> Any:
        if message["type"] == "websocket.send":
            message = {**message, "text": message["text"].upper()}
        return super().send(message)  # type: ignore[misc] # of the consumer


class LoudAsync(Loud, AsyncConsumer):
    """The same, derived from the base of consumers."""


class LoudSync(Loud, SyncConsumer):
    """The same in the other colour."""


@both_colours
async def test_a_class_between_ours_sees_what_is_sent(colour: str) -> None:
    def receive(self: Any, text_data: str) -> Any:
        yield self.send(text_data=text_data)

    quiet = consumer(colour, receive=receive)

    mixin: Any = LoudAsync if colour == "async" else LoudSync
    loud: Any = type("Program", (quiet, mixin), {})
    for kind, expected in ((quiet, "hello"), (loud, "HELLO"), (quiet, "hello")):
        server = Server(kind.as_asgi())
        await server.connect()
        server.text("hello")
        assert await server.reply() == [{"type": "websocket.send", "text": expected}]
        await server.leave()


class LoudAsyncFrames(AsyncWebsocketConsumer):
    """A base of a program that changes the frames."""

    async def send(self, text_data: Any = None, *args: Any, **kwargs: Any) -> None:  # type: ignore[override] # a frame
        await super().send(text_data.upper(), *args, **kwargs)


class LoudSyncFrames(WebsocketConsumer):
    """The same in the other colour."""

    def send(self, text_data: Any = None, *args: Any, **kwargs: Any) -> None:  # type: ignore[override] # a frame
        super().send(text_data.upper(), *args, **kwargs)


@both_colours
async def test_a_class_between_ours_sees_the_frames_of_json(colour: str) -> None:
    def receive_json(self: Any, content: Any) -> Any:
        yield self.send_json(content)

    quiet = consumer(colour, json=True, receive_json=receive_json)
    mixin: Any = LoudAsyncFrames if colour == "async" else LoudSyncFrames
    loud: Any = type("Program", (quiet, mixin), {})
    for kind, expected in ((quiet, '"hello"'), (loud, '"HELLO"'), (quiet, '"hello"')):
        server = Server(kind.as_asgi())
        await server.connect()
        server.text('"hello"')
        assert await server.reply() == [{"type": "websocket.send", "text": expected}]
        await server.leave()


@both_colours
async def test_a_send_of_the_base_that_a_test_has_replaced_is_called(
    colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(self: Any, text_data: str) -> Any:
        yield self.send(text_data=text_data)

    server = Server(consumer(colour, receive=receive).as_asgi())
    await server.connect()
    base: Any = AsyncConsumer if colour == "async" else SyncConsumer
    own = base.send
    sent: list[Message] = []

    def send(self: Any, message: Message) -> Any:
        sent.append(message)
        return own(self, message)

    monkeypatch.setattr(base, "send", send)
    server.text("hello")
    assert await server.reply() == sent == [{"type": "websocket.send", "text": "hello"}]
    monkeypatch.undo()
    await server.leave()


@pytest.mark.parametrize("between", [False, True], ids=["ours", "between ours"])
@both_colours
async def test_the_frames_of_json_reach_a_send_that_a_test_has_replaced(
    colour: str, between: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive_json(self: Any, content: Any) -> Any:
        yield self.send_json(content)

    base: Any = AsyncWebsocketConsumer if colour == "async" else WebsocketConsumer
    mixin: Any = type("Mixin", (base,), {})
    quiet = consumer(colour, json=True, receive_json=receive_json)
    program: Any = type("Program", (quiet, mixin), {})
    server = Server(program.as_asgi() if between else quiet.as_asgi())
    await server.connect()
    mock = (AsyncMock if colour == "async" else Mock)()
    monkeypatch.setattr(mixin if between else base, "send", mock, raising=False)
    server.text('"hello"')
    await until(lambda: mock.called)
    monkeypatch.undo()
    await server.leave()
    mock.assert_called_once_with(text_data='"hello"', close=False)


@both_colours
async def test_a_class_that_does_not_tell_of_its_subclasses_has_consumers(colour: str) -> None:
    base: Any = AsyncWebsocketConsumer if colour == "async" else WebsocketConsumer
    made: list[type] = []

    def receive(self: Any, text_data: str) -> Any:
        yield self.send(text_data=text_data)

    members = {"__init_subclass__": lambda cls, **options: made.append(cls)}
    silent: Any = type("Silent", (consumer(colour, receive=receive), base), members)
    program: Any = type("Program", (silent,), {})
    server = Server(program.as_asgi())
    await server.connect()
    server.text("hello")
    assert await server.reply() == [{"type": "websocket.send", "text": "hello"}]
    await server.leave()
    assert made == [program]


@both_colours
async def test_a_borrowed_method_keeps_the_encoder_of_its_class(colour: str) -> None:
    base: Any = AsyncJsonWebsocketConsumer if colour == "async" else JsonWebsocketConsumer

    make: Any = type
    lender = make("Lender", (base,), {}, json_encoder=DjangoJSONEncoder)

    def receive_json(self: Any, content: Any) -> Any:
        yield self.send_json({1: timedelta(seconds=1)})

    lent = consumer(colour, json=True, receive_json=receive_json)
    lent.encode_json = lender.encode_json
    server = Server(lent.as_asgi())
    await server.connect()
    server.text('"hello"')
    assert await server.reply() == [{"type": "websocket.send", "text": '{"1": "P0DT00H00M01S"}'}]
    await server.leave()


@both_colours
async def test_codecs_that_a_test_replaces_while_a_connection_is_open_are_called(
    colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive_json(self: Any, content: Any) -> Any:
        yield self.send_json(content)

    def decode_json(cls: Any, text_data: str) -> Any:
        yield None
        return text_data + "decoded "

    def encode_json(cls: Any, content: Any) -> Any:
        yield None
        return f"{content}encoded"

    kind = consumer(colour, json=True, receive_json=receive_json)
    other = consumer(colour, json=True, decode_json=decode_json, encode_json=encode_json)
    server = Server(kind.as_asgi())
    await server.connect()
    server.text("1")
    assert await server.reply() == [{"type": "websocket.send", "text": "1"}]
    for name in ("decode_json", "encode_json"):
        monkeypatch.setattr(kind, name, classmethod(vars(other)[name]))
    server.text("hello ")
    assert await server.reply() == [{"type": "websocket.send", "text": "hello decoded encoded"}]
    monkeypatch.undo()
    await server.leave()


@both_colours
async def test_a_program_may_call_the_codecs(colour: str) -> None:
    kind = consumer(colour, json=True)
    calls = [kind.decode_json("[1]"), kind.encode_json([1])]
    results = [await call for call in calls] if colour == "async" else calls
    assert results == [[1], "[1]"]
