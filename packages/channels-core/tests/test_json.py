import json
import math
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.serializers.json import DjangoJSONEncoder
from hypothesis import given
from hypothesis import strategies as st

from channels_core import _json
from channels_core._checks.json_codec import check_json_codec
from channels_core._json import decode_json, decoder, encoder
from channels_core.generic.websocket import JsonWebsocketConsumer

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
    max_leaves=8,
)
#: Texts that are almost JSON.
texts = (
    values.map(json.dumps)
    | st.text('[]{}",:01e.-+ntfalsr\\u d8\n\t\ufeff', max_size=12)
    | st.tuples(values.map(json.dumps), st.text(' \n]},"1')).map("".join)
)
TRICKY = [
    "", " ", " 1", "1 ", "1\n\t", "1 2", "\ufeff1", "[1,]", "{", '{"a":1,"a":2}', "-0", "01", "1.",
    '"\t"', r'"\ud800"', r'"\ud83d\ude00"', '"\ud800"', "NaN", "[Infinity]", "1e999", "-1e999",
    "1e-999", "0.1", "1E5", str(2**64), str(-(2**70)), "1" * 5000, "[" * 100_000, "1\x0c",
    "1\u00a0",
]  # fmt: skip


def outcome(function: Any, *arguments: Any) -> Any:
    """Return what a function returns, with types, or what it raises."""
    try:
        return repr(function(*arguments))
    except Exception as error:  # noqa: BLE001 - the standard library's is compared with ours
        return type(error), str(error), getattr(error, "pos", None)


def reference(text: Any) -> Any:
    """Decode as `json.loads` does, with the two restrictions."""

    def refuse(name: str) -> None:
        raise _json.NotJSONError(f"{name} is not JSON")

    def finite(number: str) -> float:
        if math.isinf(value := float(number)):
            raise _json.NotJSONError(f"{number:.30} is too large a number")
        return value

    return json.loads(text, parse_constant=refuse, parse_float=finite)


@pytest.fixture(params=[None, pytest.param("msgspec", marks=pytest.mark.msgspec)])
def codec(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.CHANNELS_JSON_CODEC = request.param


@pytest.mark.usefixtures("codec")
class TestDecoding:
    @pytest.mark.parametrize("text", [*TRICKY, b"[1]", bytearray(b"1"), 5, None])
    def test_it_is_as_by_json_loads(self, text: Any) -> None:
        assert outcome(decoder(), text) == outcome(reference, text)

    def test_any_text(self) -> None:
        @given(texts)
        def check(text: str) -> None:
            assert outcome(decode, text) == outcome(reference, text)

        decode = decoder()
        check()

    @pytest.mark.parametrize(
        "text", ["NaN", "[Infinity]", '{"a": -Infinity}', '{"a": 1e999}', "-1e999", "{", ""]
    )
    def test_what_is_not_json_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - any kind of it
            decoder()(text)

    def test_numbers_come_as_they_are(self) -> None:
        assert decoder()("[1, 1.5, -2e3, 1e308]") == [1, 1.5, -2000.0, 1e308]


class Level(IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


class Any1(json.JSONEncoder):
    def default(self, o: object) -> object:
        return ["any"]


class Indented(json.JSONEncoder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 1})


class Compact(json.JSONEncoder):
    item_separator = ","
    key_separator = ":"


class Endless(json.JSONEncoder):
    def default(self, o: object) -> object:
        return [o]


Point = namedtuple("Point", "x y")
CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
SPECIAL = [
    {"a": [1, 2.5, None, True, "é", "\u2028", "\ud800"]}, "text", "\ud800", 1.5, 2**70,
    float("nan"), [float("inf")], {"a": {"b": -float("inf")}}, {1: 2}, {None: 1}, {True: [1.5]},
    {1.5: 1}, {(1, 2): 1}, b"x", [b"x"], (1, (2.5,)), {1, 2}, Level.LOW, [Level.LOW], Text("t"),
    {Text("k"): 1}, OrderedDict(a=[1.5]), Point(1, 2), Decimal("1.5"), UUID(int=1), object(),
    CIRCLE, {"a": [CIRCLE]}, {"deep": [[[[[[[[{"x": 1.5}]]]]]]]]}, [1e16, 1e22, 5e-324, -0.0],
]  # fmt: skip


class TestEncoding:
    @pytest.mark.parametrize("content", SPECIAL, ids=range(len(SPECIAL)))
    @pytest.mark.parametrize("encoder_class", [None, DjangoJSONEncoder, Any1, Indented, Compact])
    def test_it_is_as_by_json_dumps(self, encoder_class: Any, content: Any) -> None:
        expected = outcome(lambda: json.dumps(content, cls=encoder_class))
        assert outcome(encoder(encoder_class), content) == expected

    @pytest.mark.parametrize("encoder_class", [None, Any1, Indented, Compact])
    @given(value=values)
    def test_any_value(self, encoder_class: Any, value: Any) -> None:
        expected = outcome(lambda: json.dumps(value, cls=encoder_class))
        assert outcome(encoder(encoder_class), value) == expected

    def test_values_that_never_end_are_refused(self) -> None:
        with pytest.raises((ValueError, RecursionError)):
            encoder(Endless)(object())
        assert encoder(None)([1]) == "[1]"


@pytest.fixture
def no_kept_encoders() -> Iterator[None]:
    encoder.cache_clear()
    yield
    encoder.cache_clear()


@pytest.mark.usefixtures("no_kept_encoders")
def test_python_without_an_encoder_in_c_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    assert encoder(None)({"a": [1]}) == '{"a": [1]}'


def test_a_replaced_function_of_json_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = encoder(None)
    monkeypatch.setattr(json, "dumps", lambda content, cls: "dumps")
    monkeypatch.setattr(json, "loads", lambda text, **options: "loads")
    assert encode({}) == "dumps"
    assert decode_json("{}") == "loads"


def test_a_replaced_default_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = encoder(None)
    monkeypatch.setattr(json.JSONEncoder, "default", lambda self, o: "replaced")
    assert encode([object()]) == '["replaced"]'


@pytest.mark.usefixtures("no_kept_encoders")
def test_no_encoder_is_made_for_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels_core._json._dump", mock.Mock(side_effect=NotImplementedError))
    assert encoder(None)([1]) == "[1]"
    assert encoder(DjangoJSONEncoder)(Decimal("1.5")) == '"1.5"'


def test_an_encoder_of_the_program_is_made_anew() -> None:
    class Counting(json.JSONEncoder):
        def default(self, o: object) -> object:
            number = vars(self)["number"] = vars(self).get("number", 0) + 1
            return number

    class Consumer(JsonWebsocketConsumer, json_encoder=Counting):
        pass

    assert [Consumer.encode_json([object(), object()]) for _ in range(2)] == ["[1, 2]"] * 2


def test_an_encoder_class_has_one_function() -> None:
    assert encoder(DjangoJSONEncoder) is encoder(DjangoJSONEncoder)


@pytest.mark.msgspec
class TestMsgspec:
    def test_frames_are_decoded_by_it(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.CHANNELS_JSON_CODEC = "msgspec"
        monkeypatch.setattr(_json, "decode_json", None)
        assert JsonWebsocketConsumer.decode_json('{"a": [1.5]}') == {"a": [1.5]}

    def test_the_check_is_silent(self, settings: Any) -> None:
        settings.CHANNELS_JSON_CODEC = "msgspec"
        assert check_json_codec() == []


class TestTheSetting:
    def test_nothing_is_chosen(self) -> None:
        assert check_json_codec() == []
        assert decoder() is decode_json

    def test_a_codec_that_is_not_installed(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "msgspec", None)
        monkeypatch.setitem(sys.modules, "msgspec.json", None)
        settings.CHANNELS_JSON_CODEC = "msgspec"
        [message] = check_json_codec()
        assert message.id == "channels_core.E007"
        assert "install channels-core[msgspec], or remove the setting." in message.msg
        with pytest.raises(ImproperlyConfigured, match="msgspec cannot be imported"):
            JsonWebsocketConsumer.decode_json("{}")

    @pytest.mark.parametrize("value", ["ujson", "", True, 5, ["msgspec"]])
    def test_another_value(self, settings: Any, value: Any) -> None:
        settings.CHANNELS_JSON_CODEC = value
        [message] = check_json_codec()
        assert message.id == "channels_core.E007"
        assert "must be 'msgspec', or None" in message.msg
        with pytest.raises(ImproperlyConfigured):
            decoder()
