import json
import pickle
from array import array
from enum import IntEnum
from typing import Any, cast

import pytest
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from channels_core import _messages as _events
from channels_core.exceptions import InvalidFrame, InvalidJSON


def test_accept() -> None:
    assert _events.accept(None, None) == {"type": "websocket.accept", "subprotocol": None}
    assert _events.accept("v1", [("A", "b")]) == {
        "type": "websocket.accept",
        "subprotocol": "v1",
        "headers": [(b"A", b"b")],
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
        assert _events.payload(message, limit) == (text, None)
    else:
        with pytest.raises(InvalidFrame) as caught:
            _events.payload(message, limit)
        assert caught.value.code == 1009


def test_receive_may_lack_the_parameter_for_a_kind_of_frame() -> None:
    def text_only(text_data: str) -> None:
        raise TypeError("of its own")

    def call(payload: dict[str, Any]) -> InvalidFrame | None:
        try:
            text_only(**payload)
        except TypeError as error:
            return _events.not_taken(error, is_text="text_data" in payload)
        raise AssertionError

    fault = call({"bytes_data": b"x"})
    assert isinstance(fault, InvalidFrame)
    assert (str(fault), fault.code) == ("A binary frame came where text is expected", 1003)
    assert call({"text_data": "x"}) is None
    assert _events.not_taken(TypeError("no traceback"), is_text=True) is None


@pytest.mark.parametrize(
    "buffer", [bytearray(b"ab"), memoryview(b"ab"), array("B", b"ab")], ids=["1", "2", "3"]
)
def test_any_buffer_is_sent(buffer: Any) -> None:
    assert _events.frame(None, buffer) == {"type": "websocket.send", "bytes": b"ab"}


def test_a_lazy_translation_is_sent_as_text() -> None:
    message = _events.frame(cast("Any", gettext_lazy("hello")), None)
    assert message == {"type": "websocket.send", "text": "hello"}
    assert type(message["text"]) is str


class _Code(IntEnum):
    BUSY = 4008


def test_text_marked_as_safe_is_sent() -> None:
    assert _events.frame(mark_safe("<b>"), None) == {"type": "websocket.send", "text": "<b>"}


def test_an_enum_is_a_close_code_as_a_server_takes_it() -> None:
    message = _events.close(_Code.BUSY, None)
    assert message == {"type": "websocket.close", "code": 4008}
    assert type(message["code"]) is int


class TestUndecodable:
    """Errors of `decode_json`, and the errors that a JSON consumer raises for them."""

    def test_bad_json_is_still_an_error_of_the_standard_library(self) -> None:
        with pytest.raises(json.JSONDecodeError) as raised:
            json.loads("{bad")
        fault = _events.undecodable(raised.value)
        assert isinstance(fault, InvalidFrame)
        assert isinstance(fault, json.JSONDecodeError)
        assert str(fault) == str(raised.value)
        assert (fault.doc, fault.pos, fault.code) == ("{bad", 1, 1007)
        copy = pickle.loads(pickle.dumps(fault))
        assert (type(copy), str(copy), copy.code) == (InvalidJSON, str(fault), 1007)

    def test_an_error_class_of_the_program_is_kept(self) -> None:
        class Refused(ValueError):
            pass

        error = Refused("no")
        assert _events.undecodable(error) is None
        assert getattr(error, _events.CLOSE_CODE) == 1007

    @pytest.mark.parametrize("error", [RecursionError("secret"), ValueError("secret")])
    def test_others_are_named_without_their_text(self, error: Exception) -> None:
        fault = _events.undecodable(error)
        assert str(fault) == f"A text frame is not JSON: {type(error).__name__}"
