import asyncio
import json
import threading
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels_core import _large_json
from channels_core._json import decode_json
from channels_core._large_json import decode_large, decode_large_now


def outcome(decode: Any, text: str) -> Any:
    try:
        return decode(text)
    except RecursionError:
        return "too deep"
    except ValueError as error:
        return type(error)


@pytest.fixture(params=[7, 65_536])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use pieces of several sizes."""
    monkeypatch.setattr(_large_json, "LARGE", request.param)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=15,
)


@pytest.mark.usefixtures("piece")
class TestPieces:
    @given(values, st.sampled_from([None, 1]), st.booleans())
    def test_the_same_as_in_one_call(
        self, value: Any, indent: int | None, only_ascii: bool
    ) -> None:
        text = json.dumps(value, indent=indent, ensure_ascii=only_ascii)
        assert decode_large_now(text) == value
        assert list(map(str, [decode_large_now(text)])) == list(map(str, [json.loads(text)]))

    @given(st.text(st.sampled_from('[]{},:"\\ 1e.-nulltruefalse\n\x00'), max_size=30))
    @example("[ ,1]")
    @example("[1, ,2]")
    @example("[1,]")
    @example('{"a":1,}')
    @example("[1}")
    @example('{"a":1]')
    @example("[[1}]")
    @example('{"a" 1}')
    @example('{"a":}')
    @example("{1:2}")
    @example("{5")
    @example('{"a":[[[[[[[1]]]]]]],"b" [[[[[[[1]]]]]]]}')
    @example("[              ]")
    @example("{              }")
    @example("[1,              ]")
    @example("[              1              ]")
    @example('{"a":[[[[[[[[1]]]]]]]],2}')
    @example("{ 1234567890:2}")
    @example("[1] 2")
    @example('["a')
    @example('{"a')
    @example("[tru")
    @example("[NaN]")
    @example("[1e999]")
    @example("[")
    @example("")
    @example("\ufeff[]")
    @example("[[[[[[1]]]]] ,[[[[[[2]]]]]]]")
    @example('{"a":[[[[[[1]]]]]],"b":[[[[[[2]]]]]] ,"a":3}')
    @example("[[[[[[1]]]]] 5]")
    def test_what_is_not_json_is_refused_as_in_one_call(self, text: str) -> None:
        assert outcome(decode_large_now, text) == outcome(decode_json, text)

    @pytest.mark.parametrize(
        "text", ['{"a": 1, "b" 2}', "[1, 2, x]", '[1, "\x01"]', '{"a": 1, 2}', "[1, 2", "[1] x"]
    )
    def test_the_position_of_the_fault(self, text: str) -> None:
        with pytest.raises(json.JSONDecodeError) as expected:
            decode_json(text)
        with pytest.raises(json.JSONDecodeError) as raised:
            decode_large_now(text)
        assert (raised.value.doc, raised.value.pos) == (text, expected.value.pos)

    def test_as_deep_as_in_one_call(self) -> None:
        text = "[" * 900 + "1" + "]" * 900
        assert decode_large_now(text) == json.loads(text)

    def test_deep_nesting_is_an_error_of_recursion(self) -> None:
        text = "[" * 100_000 + "]" * 100_000
        with pytest.raises(RecursionError):
            decode_large_now(text)

    def test_equal_keys(self) -> None:
        text = '{"a": 1, "b": 2, "a": [[[[[[3]]]]]], "b": 4, "c": 5}'
        assert list(decode_large_now(text).items()) == list(json.loads(text).items())


def test_many_deep_elements_are_decoded_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def decode(text: str) -> Any:
        calls.append(text)
        return decode_json(text)

    monkeypatch.setattr(_large_json, "decode_json", decode)
    element = '{"a":' + "[" * 9 + "]" * 9 + "}"
    text = f"[{','.join([element] * 2000)}]"
    assert decode_large_now(text) == json.loads(text)
    assert calls[-1] == text
    # The steps before are few.
    assert len(calls) < 500


class TestBeside:
    async def test_other_tasks_run_meanwhile(self) -> None:
        text = "[" + "{}," * 300_000 + "{}]"
        turns = 0
        decoding = asyncio.ensure_future(decode_large(text))
        while not decoding.done():
            turns += 1
            await asyncio.sleep(0)
        assert len(decoding.result()) == 300_001
        assert turns > 3

    async def test_a_cancelled_call_is_not_begun(self) -> None:
        may_go_on = threading.Event()
        before = _large_json._thread.pool.submit(may_go_on.wait, 20)
        decoding = asyncio.ensure_future(decode_large("[]"))
        await asyncio.sleep(0)
        decoding.cancel()
        await asyncio.wait([decoding])
        may_go_on.set()
        await asyncio.wrap_future(before)
        assert decoding.cancelled()
        assert await decode_large("[1]") == [1]

    async def test_an_error_is_raised_here(self) -> None:
        with pytest.raises(json.JSONDecodeError):
            await decode_large("[" * 3)
