from typing import Any

import pytest

from channels_testing._contract.first_difference import first_difference


@pytest.mark.parametrize(
    "value", [None, True, 0, 1.5, "a", b"a", [], {}, [1, [2, {"a": [3]}]], {"a": {"b": [None]}}]
)
def test_equal_types_and_values_do_not_differ(value: Any) -> None:
    assert first_difference(value, value) is None


@pytest.mark.parametrize(
    ("got", "expected", "told"),
    [
        (1, 2, "expected 2, got 1"),
        (True, 1, "expected 1, got True"),
        (1.0, 1, "expected 1, got 1.0"),
        ((1,), [1], "expected [1], got (1,)"),
        ([1], [1, 2], "expected [1, 2], got [1]"),
        ({"a": 1}, {"b": 1}, "expected {'b': 1}, got {'a': 1}"),
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, "at ['b'][1] expected 3, got 2"),
        ([{"a": {"b": 1}}], [{"a": {"b": None}}], "at [0]['a']['b'] expected None, got 1"),
        ("", "a" * 300, f"expected '{'a' * 199}... (302 characters), got ''"),
    ],
)
def test_the_first_difference_is_named(got: Any, expected: Any, told: str) -> None:
    assert first_difference(got, expected) == told
