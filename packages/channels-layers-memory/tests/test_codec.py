import enum
import math
import uuid
from collections import OrderedDict
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels_layers_memory._layer import codec
from channels_layers_memory._layer.codec import ISOLATIONS, Payload, deepcopied, packed


def opened(payload: Payload) -> dict[str, Any]:
    """Return the message as a receiver gets it."""
    return payload() if callable(payload) else payload


class Colour(enum.StrEnum):
    RED = "red"


class Text(str):
    __slots__ = ()


class Level(enum.IntEnum):
    LOW = 1


class Real(float):
    pass


# Values inside and outside the limits of msgpack, of exact types and of subclasses.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) - 2, 2**64 + 1),
    st.sampled_from([-(2**63) - 1, -(2**63), 2**64 - 1, 2**64, Level.LOW]),
    st.floats(),
    st.just(Real(1.5)),
    st.binary(),
    st.text(),
    st.text(st.characters(categories=["Cs", "L"])),
    st.sampled_from([Colour.RED, Text("x"), bytearray(b"x"), uuid.UUID(int=1), (1, 2), {1}]),
)
keys = st.text() | st.sampled_from([Text("k"), Colour.RED, 1, b"k", None, "\ud800"])
flat = st.dictionaries(st.text(), scalars, max_size=4) | st.dictionaries(keys, scalars, max_size=4)
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
messages = flat | st.dictionaries(st.text(), nested, max_size=4)


def over_msgpack(message: dict[Any, Any]) -> dict[str, Any] | None:
    """Return the message as it arrives through msgpack, or None if it is rejected."""

    def check(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        if not all(isinstance(key, str) for key, _ in pairs):
            raise TypeError
        return dict(pairs)

    try:
        result = msgpack.unpackb(
            msgpack.packb(message), strict_map_key=False, object_pairs_hook=check
        )
    except (TypeError, ValueError, OverflowError):
        return None
    assert isinstance(result, dict)
    return result


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of the same types; NaN and -0.0 included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            map(same, [*one, *one.values()], [*other, *other.values()])
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and (
            one == other or (math.isnan(one) and math.isnan(other))
        )
    return bool(one == other)


@given(messages)
@example({"type": "chat.message", "n": 2**64 - 1})
@example({"text": "é", "bad": "\udfff"})
@example({"é": 1})
@example({"n": -(2**63) - 1})
@example({"n": 2**64})
@example({Text("k"): 1})
def test_messages_are_rejected_and_arrive_as_through_msgpack(message: dict[Any, Any]) -> None:
    expected = over_msgpack(message)
    if expected is None:
        with pytest.raises(TypeError, match=r"^message"):
            packed(message)
    else:
        assert same(opened(packed(message)), expected)
        receiver = packed(message, for_several=True)
        assert same(opened(receiver), expected)
        assert same(opened(receiver), expected)


@given(messages)
def test_the_same_holds_at_the_limits_of_length(message: dict[Any, Any]) -> None:
    # The real limit needs too much memory, so a short one is set.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_LONGEST", 2)
        test_messages_are_rejected_and_arrive_as_through_msgpack.hypothesis.inner_test(message)  # type: ignore[attr-defined] # hypothesis adds it


def test_a_flat_message_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msgpack, "packb", None)
    message = {"type": "a", "n": 1, "x": 1.5, "t": True, "none": None, "b": b"x", "é": "é"}
    del message["é"]
    message["text"] = "é"
    copied = packed(message)
    assert copied == message
    assert copied is not message


def test_a_long_value_is_left_to_msgpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_LONGEST", 3)
    assert packed({"a": "abc", "b": b"abc", "c": "aé"}) == {"a": "abc", "b": b"abc", "c": "aé"}
    packs = count(monkeypatch, "packb")
    for value in ("abcd", b"abcd", "éé"):
        assert packed({"a": value}) == {"a": value}
    assert len(packs) == 3


def count(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """Record the calls of a function of msgpack."""
    calls: list[object] = []
    original = getattr(msgpack, name)

    def record(value: object, **options: Any) -> Any:
        calls.append(value)
        return original(value, **options)

    monkeypatch.setattr(msgpack, name, record)
    return calls


def test_a_nested_message_is_packed_once_and_unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    packs, unpacks = count(monkeypatch, "packb"), count(monkeypatch, "unpackb")
    message = {"user": {"tags": ["a"]}}
    assert opened(packed(message)) == message
    assert (len(packs), len(unpacks)) == (1, 1)


@pytest.mark.parametrize("value", [b"", b"x", [b"\xff"], {"": b"y"}])
def test_a_nested_message_may_hold_bytes(value: object) -> None:
    message = {"user": {"é": [None, {"value": value}]}}
    assert opened(packed(message)) == message
    with pytest.raises(TypeError, match=r"its key b'k' is of type bytes"):
        packed({**message, "keys": {b"k": 1}})
    with pytest.raises(TypeError, match=r"its key b'' is of type bytes"):
        packed({**message, "keys": {b"": 1}})


def test_a_msgpack_without_a_limit_for_bytes_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    unpackb = msgpack.unpackb

    def without(data: bytes, *, strict_map_key: bool = True, object_hook: Any = None) -> Any:
        return unpackb(data, strict_map_key=strict_map_key, object_hook=object_hook)

    monkeypatch.setattr(msgpack, "unpackb", without)
    assert opened(packed({"user": {"tags": ["a"]}})) == {"user": {"tags": ["a"]}}
    with pytest.raises(TypeError, match="its key b'k' is of type bytes"):
        packed({"user": {b"k": 1}})


def test_a_nested_message_is_unpacked_for_each_receiver() -> None:
    payload = packed({"user": {"tags": ["a"]}, "place": (1, 2)}, for_several=True)
    first, second = opened(payload), opened(payload)
    assert first == second == {"user": {"tags": ["a"]}, "place": [1, 2]}
    first["user"]["tags"].append("b")
    assert second["user"]["tags"] == ["a"]


def test_the_sender_may_change_a_message_once_it_is_sent() -> None:
    flat, deep = {"n": 1}, {"list": [1]}
    payloads = packed(flat), packed(deep)
    flat["n"] = 2
    deep["list"].append(2)
    assert [opened(payload) for payload in payloads] == [{"n": 1}, {"list": [1]}]


def test_receivers_of_a_flat_message_are_apart() -> None:
    payload = packed({"n": 1}, for_several=True)
    first, second = opened(payload), opened(payload)
    first["n"] = 2
    assert second == {"n": 1}


def test_instances_of_subclasses_arrive_as_the_plain_type() -> None:
    message = OrderedDict({"colour": Colour.RED, Text("text"): Text("x"), "level": Level.LOW})
    arrived = opened(packed(message))
    assert arrived == {"colour": "red", "text": "x", "level": 1}
    assert [type(value) for value in arrived.values()] == [str, str, int]
    assert {type(key) for key in arrived} == {str}
    assert type(arrived) is dict


@pytest.mark.parametrize("message", ["text", None, [1], (("a", 1),), 5])
@pytest.mark.parametrize("encode", ISOLATIONS.values(), ids=ISOLATIONS)
def test_a_message_that_is_not_a_dict_is_rejected(encode: "codec.Encode", message: object) -> None:
    with pytest.raises(TypeError, match=r"A message must be a dict, not \w+: "):
        encode(message)


def test_a_value_that_cannot_be_packed_is_named_with_its_cause() -> None:
    with pytest.raises(TypeError, match=r'^message\["user"\]\["id"\]: UUID ') as caught:
        packed({"type": "user.joined", "user": {"id": uuid.UUID(int=1)}})
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_message_that_contains_itself_is_refused() -> None:
    message: dict[str, Any] = {}
    message["self"] = message
    with pytest.raises(TypeError, match="contains itself"):
        packed(message)


def test_a_message_is_nested_as_deeply_as_msgpack_packs() -> None:
    message: dict[str, Any] = {}
    depth = 1
    while is_packable(message):
        # Packed, since Python cannot compare what is nested so deeply.
        assert msgpack.packb(opened(packed(message))) == msgpack.packb(message)
        message = {"a": message}
        depth += 1
    with pytest.raises(TypeError, match=rf'^message\["a"\].*: {depth} levels deep, '):
        packed(message)


def is_packable(message: dict[str, Any]) -> bool:
    try:
        msgpack.unpackb(msgpack.packb(message))
    except (ValueError, RecursionError):
        return False
    return True


def test_packing_in_pure_python_may_run_out_of_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    packb = msgpack.packb

    def shallow(value: object) -> bytes:
        if isinstance(value, dict):
            raise RecursionError("maximum recursion depth exceeded")
        data: bytes = packb(value)
        return data

    monkeypatch.setattr(msgpack, "packb", shallow)
    with pytest.raises(TypeError, match=r'^message\["a"\].*: 2 levels deep, .*maximum recursion'):
        packed({"a": {}})


def test_deep_copies_let_objects_pass() -> None:
    key = object()
    message = {"id": uuid.UUID(int=1), "place": (1, [2]), 5: {1, 2}, "key": key}
    payload = deepcopied(message, for_several=True)
    message["place"][1].append(3)  # type: ignore[index] # it is a tuple
    first, second = opened(payload), opened(payload)
    assert first["id"] == uuid.UUID(int=1)
    assert first["place"] == (1, [2])
    first["place"][1].append(4)
    assert second["place"] == (1, [2])
    assert first["key"] is not key


class Callable(dict[str, Any]):
    def __call__(self) -> None:
        raise AssertionError("this is data")


@pytest.mark.parametrize("kind", [dict, OrderedDict, Callable])
@pytest.mark.parametrize("for_several", [False, True])
def test_deep_copies_keep_the_kind_of_dict(kind: type[dict[str, Any]], for_several: bool) -> None:
    message = kind(a=[1])
    arrived = opened(deepcopied(message, for_several=for_several))
    assert type(arrived) is kind
    assert arrived == message
    assert arrived["a"] is not message["a"]
