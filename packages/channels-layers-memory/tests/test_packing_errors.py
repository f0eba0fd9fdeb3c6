import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_layers_memory.layer import InMemoryChannelLayer

ID = uuid.UUID(int=7)


def refusal(message: dict[Any, Any]) -> str:
    """Return the text of the error that a message causes."""
    with pytest.raises(TypeError) as caught:
        InMemoryChannelLayer().copy_message(message)
    return str(caught.value)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"user": {"id": ID}}, 'message["user"]["id"]: UUID cannot cross'),
        ({"ids": [1, (2, ID)]}, 'message["ids"][1][1]: UUID cannot cross'),
        ({"tags": {"a"}}, 'message["tags"]: set cannot cross'),
        ({"a": {}, "b": [], "c": object()}, 'message["c"]: object cannot cross'),
        ({"big": 2**64}, 'message["big"]: int out of range; expected -2**63 to 2**64-1'),
        ({"small": [-(2**63) - 1]}, 'message["small"][0]: int out of range'),
        ({"huge": 10**5000}, 'message["huge"]: int out of range'),
        ({"text": "ab\ud800"}, r"""message["text"]: str with a lone surrogate ('\ud800' at 2)"""),
        ({1: "a"}, "message: its key 1 is of type int; expected str"),
        ({"user": {b"id": 1}}, """message["user"]: its key b'id' is of type bytes"""),
        ({"rows": [{None: 1}]}, 'message["rows"][0]: its key None is of type NoneType'),
        ({"user": {"\ud800": 1}}, r"""message["user"]: its key '\ud800' is a str with a lone"""),
        ({'say "hi"': ID}, r'message["say \"hi\""]: UUID cannot cross'),
        ({"view": memoryview(b"abcd")[::2]}, 'message["view"]: memoryview: '),
    ],
)
def test_the_value_at_fault_is_named(message: dict[Any, Any], expected: str) -> None:
    assert refusal(message).startswith(expected)


def test_the_remedy_is_named() -> None:
    text = refusal({"id": ID})
    assert "str(value)" in text
    assert 'CONFIG {"isolation": "deepcopy"}' in text


def test_a_message_that_contains_itself_is_named() -> None:
    message: dict[str, Any] = {"a": 1}
    message["self"] = [message]
    assert refusal(message) == 'message["self"][0]: this dict contains itself'


def test_the_same_value_may_occur_twice() -> None:
    part = {"id": 1}
    message = {"a": part, "b": [part, part], "c": ID}
    assert refusal(message).startswith('message["c"]: UUID')


def nested(depth: int, around: Callable[[Any], Any]) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = around(value)
    return {"a": value}


@pytest.mark.parametrize("around", [lambda value: [value], lambda value: {"a": value}])
def test_too_deep_a_message_is_named(around: Callable[[Any], Any]) -> None:
    message = nested(5000, around)
    text = refusal(message)
    assert text.startswith('message["a"]')
    assert "5001 levels deep" in text
    assert len(text) < 200


sound = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.tuples(st.booleans(), sound), max_size=4), st.data())
def test_the_fault_is_found_wherever_it_is(path: list[tuple[bool, Any]], data: Any) -> None:
    """Hide one value that cannot be packed among others."""
    value: Any = ID
    expected = ""
    for in_list, sibling in path:
        if in_list:
            value, expected = [sibling, value], "[1]" + expected
        else:
            value, expected = {"other": sibling, "here": value}, '["here"]' + expected
    message = {"first": data.draw(sound), "top": value}
    expected = 'message["top"]' + expected
    assert refusal(message).startswith(f"{expected}: UUID cannot cross")
