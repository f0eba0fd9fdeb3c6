import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.exceptions import InvalidFrame
from channels_core.generic import _events


def test_accept() -> None:
    assert _events.accept(None, None) == {"type": "websocket.accept", "subprotocol": None}
    assert _events.accept("v1", [("A", "b")]) == {
        "type": "websocket.accept",
        "subprotocol": "v1",
        "headers": [(b"a", b"b")],
    }


@pytest.mark.parametrize("data", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_of_any_kind_go_out_as_bytes(data: Any) -> None:
    frame = _events.frame(None, data)
    assert frame == {"type": "websocket.send", "bytes": b"ab"}
    assert type(frame["bytes"]) is bytes


def test_text_goes_first() -> None:
    assert _events.frame("a", b"b") == {"type": "websocket.send", "text": "a"}
    assert _events.frame("", None) == {"type": "websocket.send", "text": ""}


@pytest.mark.parametrize(
    ("code", "reason", "rest"),
    [
        (None, None, {}),
        (True, None, {}),
        (4000, None, {"code": 4000}),
        (4000, "bye", {"code": 4000, "reason": "bye"}),
        (None, "", {}),
    ],
)
def test_close(code: int | None, reason: str | None, rest: dict[str, Any]) -> None:
    assert _events.close(code, reason) == {"type": "websocket.close", **rest}


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {}}])
def test_a_denial_is_a_close_where_nothing_else_is_offered(extensions: Any) -> None:
    assert _events.denial(extensions, 404, code=4004) == [{"type": "websocket.close", "code": 4004}]


def test_a_denial_keeps_the_programs_own_headers() -> None:
    scope: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
    start, body = _events.denial(
        scope, 401, {"Content-Type": "text/html", "Content-Length": "2"}, "no"
    )
    assert start == {
        "type": "websocket.http.response.start",
        "status": 401,
        "headers": [(b"content-type", b"text/html"), (b"content-length", b"2")],
    }
    assert body == {"type": "websocket.http.response.body", "body": b"no"}


@given(st.text(), st.integers(0, 40))
def test_text_is_measured_in_bytes_of_utf_8(text: str, limit: int) -> None:
    message = {"type": "websocket.receive", "text": text}
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return
    if size <= limit:
        assert _events.payload(message, limit) == {"text_data": text}
    else:
        with pytest.raises(InvalidFrame) as caught:
            _events.payload(message, limit)
        assert caught.value.code == 1009


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', '{"a": 1e999}', "-1e999", "{", ""]
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any kind of it
        _events.decode_json(text)


def test_numbers_come_as_they_are() -> None:
    assert _events.decode_json("[1, 1.5, -2e3, 1e308]") == [1, 1.5, -2000.0, 1e308]


def test_json_is_encoded_with_the_encoder() -> None:
    class Encoder(json.JSONEncoder):
        def default(self, o: object) -> str:
            return "x"

    assert _events.encode_json({"a": object()}, Encoder) == '{"a": "x"}'
    with pytest.raises(TypeError):
        _events.encode_json(object(), None)


def test_the_kinds_of_frames_that_a_method_takes() -> None:
    def text_only(self: Any, text_data: str) -> None: ...
    def bytes_only(self: Any, bytes_data: bytes) -> None: ...
    def both(self: Any, text_data: str = "", bytes_data: bytes = b"") -> None: ...
    def any_keyword(self: Any, **frame: Any) -> None: ...
    def odd(self: Any, frame: Any) -> None: ...

    assert _events.frames_taken(text_only) == {"text_data"}
    assert _events.frames_taken(bytes_only) == {"bytes_data"}
    for method in (both, any_keyword, odd, None):
        assert _events.frames_taken(method) == {"text_data", "bytes_data"}
