"""Messages of the channel layer that no program would send: none of them ends a connection."""

import asyncio
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels_core.layers import channel_layers
from channels_core.typing import Message
from fakes import LocalLayer, Server


class Member(AsyncJsonWebsocketConsumer, max_message_size=1000):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)

    async def note(self, event: Any) -> None:
        await self.send(text_data=event["text"])


class SyncMember(JsonWebsocketConsumer, max_message_size=1000):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content)

    def note(self, event: Any) -> None:
        self.send(text_data=event["text"])


class Plain(AsyncWebsocketConsumer):
    # As programs write it that take text only.
    async def receive(self, text_data: str) -> None:  # type: ignore[override] # the same reason
        await self.send(text_data=text_data.upper())

    async def note(self, event: Any) -> None:
        await self.send(text_data=event["text"])


class SyncPlain(WebsocketConsumer):
    def receive(self, text_data: str) -> None:  # type: ignore[override] # as in `Plain`
        self.send(text_data=text_data.upper())

    def note(self, event: Any) -> None:
        self.send(text_data=event["text"])


def deep(levels: int) -> list[Any]:
    """Return lists within each other."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


#: Types that are missing, no str, malformed, or names that are not the program's.
TYPES: Final = [
    None, True, False, 0, -1, 1.5, float("nan"), 2**63, b"note", b"", [], ["note"], {}, {"note": 1},
    deep(400), list(range(100_000)), "x" * 1_000_000, b"x" * 1_000_000,
    "", " ", ".", "..", "_", "__", ".note", "_note", "__init__", "__class__", "__dict__",
    "._channels_connection", "_channels_connection", "_sync", "note.", "note ", "Note", "NOTE",
    "no te", "note\n", "note\x00", "\x00", "note\u2028", "\uff4eote", "\ud800", "n\u043ete",
    "send", "close", "accept", "deny", "receive", "receive_json", "connect", "disconnect",
    "dispatch", "as_asgi", "as.asgi", "base_send", "base.send", "channel_receive", "scope",
    "channel.layer", "channel.name", "groups", "is_open", "close.code", "close.reason",
    "invalid.frame", "report.exception", "join.group", "leave.group", "decode.json", "encode.json",
    "send.json", "websocket.connect", "websocket.disconnect", "websocket.accept", "websocket.close",
    "websocket.send", "websocket.http.response.start", "http.request", "http.disconnect",
    "lifespan.startup", "mro", "options", "handlers",
]  # fmt: skip

#: The rest of a frame that a program sends over the layer.
FRAMES: Final[list[dict[str, Any]]] = [
    {}, {"text": None}, {"text": None, "bytes": None}, {"bytes": b""}, {"bytes": b"\xff"},
    {"text": 5}, {"text": 1.5}, {"text": True}, {"text": []}, {"text": {}}, {"text": b"{}"},
    {"text": deep(400)}, {"bytes": "text"}, {"bytes": 5}, {"bytes": []}, {"bytes": {"a": 1}},
    {"text": "x" * 2000}, {"bytes": b"x" * 2000},
]  # fmt: skip

#: Texts that are not JSON.
TEXTS: Final = ["", "{", "]", "NaN", "1e999", "[" * 900, "{'a': 1}", "\x00", "\ud800", "1" * 999]

members = pytest.mark.parametrize("kind", [Member, SyncMember, Plain, SyncPlain])


async def _outlives(kind: type[AsyncConsumer], layer: LocalLayer, hostile: list[Any]) -> None:
    """Send a member messages, and check that it still answers and was not closed."""
    server = Server(kind.as_asgi())
    assert await server.connect() == [{"type": "websocket.accept", "subprotocol": None}]
    [channel] = layer.queues
    for message in hostile:
        layer.queues[channel].put_nowait(message)
    layer.queues[channel].put_nowait({"type": "note", "text": "alive"})
    answered: list[Message] = []
    while not answered or answered[-1].get("text") != "alive":
        assert not server.task.done()
        answered = (await server.replies(len(answered) + 2))[1:]
    assert {message["type"] for message in answered} == {"websocket.send"}
    await server.leave()
    del layer.queues[channel]


@members
async def test_no_type_ends_a_member(
    kind: type[AsyncConsumer],
    layer: LocalLayer,
    record_property: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    record_property("inputs", len(TYPES) + 1)
    hostile = [{}, *({"type": each, "text": "x", "code": "x"} for each in TYPES)]
    await _outlives(kind, layer, hostile)
    assert len(caplog.messages) <= len(TYPES) + 1
    assert all(len(line) < 500 for line in caplog.messages)
    assert not any(record.exc_info for record in caplog.records)


@members
async def test_what_is_not_a_dict_ends_no_member(
    kind: type[AsyncConsumer], layer: LocalLayer
) -> None:
    await _outlives(kind, layer, [None, 5, "note", b"note", [], ["type"], [["type", "note"]], ()])


@pytest.mark.parametrize("name", ["websocket.receive", "websocket_receive"])
@pytest.mark.parametrize("kind", [Member, SyncMember])
async def test_a_frame_that_cannot_be_read_ends_no_member(
    kind: type[AsyncConsumer],
    name: str,
    layer: LocalLayer,
    record_property: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hostile = [*FRAMES, *({"text": text} for text in TEXTS[:-1])]
    record_property("inputs", len(hostile))
    await _outlives(kind, layer, [{"type": name, **each} for each in hostile])
    [line] = caplog.messages
    assert line.endswith("; the frame from the channel layer is dropped")


@pytest.mark.parametrize("kind", [Plain, SyncPlain])
async def test_a_frame_of_another_kind_ends_no_member(
    kind: type[AsyncConsumer], layer: LocalLayer
) -> None:
    await _outlives(kind, layer, [{"type": "websocket.receive", **each} for each in FRAMES])


async def test_a_fault_of_the_programs_own_still_ends_it(layer: LocalLayer) -> None:
    class Faulty(Member):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            raise TypeError("a fault of the program")

    server = Server(Faulty.as_asgi())
    await server.connect()
    [channel] = layer.queues
    await layer.send(channel, {"type": "websocket.receive", "text": "{}"})
    with pytest.raises(TypeError, match="a fault of the program"):
        await server.end()


async def test_many_types_make_few_lines(
    layer: LocalLayer, caplog: pytest.LogCaptureFixture, record_property: Any
) -> None:
    record_property("inputs", 5000)
    await _outlives(Member, layer, [{"type": f"unknown.{number}"} for number in range(5000)])
    assert len(caplog.messages) == 101


@pytest.mark.parametrize("missing", [{}, {"type": 5}, {"type": "_note"}, {"type": ".note"}])
async def test_a_consumer_that_is_driven_bare_raises(missing: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(Incoming message has no 'type'|Malformed type)"):
        await Member().dispatch(missing)


def _is_note(message: Any) -> bool:
    """Return whether it reaches the program's handler, whose errors are the program's own."""
    return isinstance(message, dict) and message.get("type") == "note"


# Not `recursive`, whose inputs take longer to make than to try.
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(scalars, scalars, max_size=3)
keys = st.sampled_from(["type", "text", "bytes"]) | st.text()
types = values | st.sampled_from(["websocket.receive", "send", "websocket.close"])


@settings(max_examples=50)
@given(
    st.lists(
        values
        | st.dictionaries(keys, values, max_size=3)
        | st.fixed_dictionaries({"type": types}, optional={"text": values, "bytes": values}),
        max_size=5,
    ).filter(lambda messages: not any(_is_note(message) for message in messages))
)
def test_no_message_at_all_ends_a_member(hostile: list[Any]) -> None:
    layer = LocalLayer()
    channel_layers.set("default", layer)
    try:
        asyncio.run(_outlives(Member, layer, hostile))
    finally:
        channel_layers.set("default", None)
