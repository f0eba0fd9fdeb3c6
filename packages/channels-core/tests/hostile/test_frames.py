"""Frames that no page would send: each is handled, or closes the connection with one line."""

import contextlib
import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels_core._json import decode_json
from channels_core.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels_core.routing import ProtocolTypeRouter
from fakes import Server

SMALL: Final = 200_000


class Echo(AsyncJsonWebsocketConsumer, max_message_size=SMALL):
    channel_layer_alias = None

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send(text_data="handled")


class SyncEcho(JsonWebsocketConsumer, max_message_size=SMALL):
    channel_layer_alias = None

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send(text_data="handled")


#: Frames, and the code that closes; None if it is JSON.
FRAMES: Final[list[tuple[dict[str, Any], int | None]]] = [
    ({"text": ""}, 1007), ({"text": " "}, 1007), ({"text": "\x00"}, 1007), ({"text": "{"}, 1007),
    ({"text": "}"}, 1007), ({"text": "[" * 5000}, 1007), ({"text": "[" * 100_000}, 1007),
    ({"text": '{"a":' * 30_000}, 1007), ({"text": "[" * 50_000 + "]" * 50_000}, 1007),
    ({"text": "NaN"}, 1007), ({"text": "-Infinity"}, 1007), ({"text": "1e400"}, 1007),
    ({"text": "[" + "1e400," * 20_000 + "1]"}, 1007), ({"text": "9" * 5000}, 1007),
    ({"text": "9" * 100_000}, 1007), ({"text": "\ufeff[]"}, 1007), ({"text": "'a'"}, 1007),
    ({"text": '"\ud800"'}, None), ({"text": "[1,]"}, 1007), ({"text": "nul"}, 1007),
    ({"text": "[" + "1," * 60_000 + "]"}, 1007), ({"text": "[" + "[]," * 40_000 + "[}"}, 1007),
    ({"text": "x" * (SMALL + 1)}, 1009), ({"text": "\u20ac" * (SMALL // 3 + 1)}, 1009),
    ({"bytes": b""}, 1003), ({"bytes": b"{}"}, 1003), ({"bytes": b"\xff" * 10}, 1003),
    ({"bytes": b"x" * (SMALL + 1)}, 1009), ({}, 1003), ({"text": None, "bytes": None}, 1003),
    ({"text": "null"}, None), ({"text": '{"a": 1, "a": 2}'}, None),
    ({"text": "[" + "{}," * 60_000 + "{}]"}, None), ({"text": '"' + "x" * 150_000 + '"'}, None),
    ({"text": "[" + " " * 150_000 + "]"}, None),
    ({"text": "[1," + " " * 150_000 + "]"}, 1007), ({"text": "{" + " " * 150_000 + "}"}, None),
    ({"text": "[" + " " * 150_000 + "1]"}, None),
    ({"text": json.dumps({"x" * 99_999: 1})}, None),
]  # fmt: skip


@pytest.mark.parametrize("kind", [Echo, SyncEcho])
async def test_each_is_handled_or_closes_with_one_line(
    kind: Any, caplog: pytest.LogCaptureFixture, record_property: Any
) -> None:
    record_property("inputs", len(FRAMES))
    application = ProtocolTypeRouter({"websocket": kind.as_asgi()})
    for number, (frame, code) in enumerate(FRAMES):
        caplog.clear()
        server = Server(application, {"client": [f"192.0.2.{number}", 1]})
        await server.connect()
        server.put({"type": "websocket.receive", **frame})
        [answer] = await server.reply()
        if code is None:
            assert answer == {"type": "websocket.send", "text": "handled"}
            await server.leave()
            assert caplog.messages == []
        else:
            assert answer == {"type": "websocket.close", "code": code}, str(frame)[:50]
            await server.end()
            [record] = caplog.records
            assert record.exc_info is None
            assert len(record.getMessage()) < 300


async def test_a_large_frame_is_handled_in_its_turn(record_property: Any) -> None:
    class Counting(AsyncJsonWebsocketConsumer):
        channel_layer_alias = None

        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await self.send_json(len(content))

    server = Server(Counting.as_asgi())
    await server.connect()
    server.text("[1]", "[" + "{}," * 99_999 + "{}]", "[1,2]", "[" + "1," * 49_999 + "1]", "[]")
    answers = [each["text"] for each in await server.replies(6, 1)]
    assert answers == ["1", "100000", "2", "50000", "0"]
    # The client leaves while its frame is decoded: the end is as always.
    server.text("[" + "{}," * 99_999 + "{}]")
    await server.leave()


@settings(max_examples=50)
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_our_decoder_raises_nothing_but_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        decode_json(text)
