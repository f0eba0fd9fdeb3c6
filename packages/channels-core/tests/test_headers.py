from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.headers import encode_headers, encode_response_headers, pass_on_headers

#: Every byte, including those that are not allowed.
PART = st.binary(max_size=20)
#: Texts with a character that no header may have.
UNSAFE = st.builds(
    lambda before, character, after: before + character + after,
    PART,
    st.sampled_from([b"\r", b"\n", b"\0"]),
    PART,
)
SAFE = PART.filter(lambda part: not set(part) & set(b"\r\n\0"))
#: The characters that HTTP allows in a name.
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
NAME = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=20).map(bytes)
SAFE_PAIRS = st.lists(st.tuples(NAME, SAFE), max_size=8)


def as_text(part: bytes, text: bool) -> str | bytes:
    return part.decode("latin-1") if text else part


def folded(pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return pairs with ASCII capitals, and no other letters, in lower case."""
    capitals = bytes(range(ord("A"), ord("Z") + 1))
    small = bytes(range(ord("a"), ord("z") + 1))
    table = bytes.maketrans(capitals, small)
    return [(name.translate(table), value) for name, value in pairs]


def test_headers_are_encoded_once_with_names_in_lower_case() -> None:
    expected = [(b"x-a", b"1"), (b"set-cookie", b"\xe9")]
    pairs: list[Any] = [("X-A", "1"), (b"Set-Cookie", "é")]
    assert encode_headers(pairs) == expected
    assert encode_headers(dict(pairs)) == expected


@pytest.mark.parametrize("nothing", [None, [], {}, ()])
def test_there_may_be_none(nothing: Any) -> None:
    assert encode_headers(nothing) == []


@given(SAFE_PAIRS, st.data())
def test_what_was_given_can_be_read_back(pairs: list[tuple[bytes, bytes]], data: Any) -> None:
    texts = data.draw(st.tuples(*[st.tuples(st.booleans(), st.booleans())] * len(pairs)))
    written = [
        (as_text(name, of_name), as_text(value, of_value))
        for (name, value), (of_name, of_value) in zip(pairs, texts, strict=True)
    ]
    # In order, with all headers of the same name.
    assert encode_headers(written) == folded(pairs)
    assert encode_headers(pair for pair in written) == folded(pairs)


@given(st.dictionaries(NAME, SAFE, max_size=8), st.booleans())
def test_a_mapping_is_as_good_as_pairs(fields: dict[bytes, bytes], text: bool) -> None:
    written = {as_text(name, text): as_text(value, text) for name, value in fields.items()}
    expected = folded(list(fields.items()))
    assert encode_headers(written) == expected
    assert encode_headers(MappingProxyType(written)) == expected


@given(SAFE_PAIRS)
def test_names_are_in_lower_case_and_all_is_bytes(pairs: list[tuple[bytes, bytes]]) -> None:
    for name, value in encode_headers(pairs):
        assert name == name.lower()
        assert type(name) is type(value) is bytes


@given(SAFE_PAIRS)
def test_to_encode_twice_is_to_encode_once(pairs: list[tuple[bytes, bytes]]) -> None:
    once = encode_headers(pairs)
    assert encode_headers(once) == once


@given(SAFE_PAIRS, SAFE_PAIRS, NAME, UNSAFE, st.booleans(), st.booleans())
def test_a_header_that_could_start_another_is_refused(
    before: list[tuple[bytes, bytes]],
    after: list[tuple[bytes, bytes]],
    safe: bytes,
    unsafe: bytes,
    in_name: bool,
    text: bool,
) -> None:
    harmful = as_text(unsafe, text)
    pair = (harmful, safe) if in_name else (safe, harmful)
    with pytest.raises(ValueError, match="must not contain CR, LF or NUL"):
        encode_headers([*before, pair, *after])
    with pytest.raises(ValueError, match="must not contain CR, LF or NUL"):
        encode_response_headers([*before, pair, *after], b"")


@given(PART, PART)
def test_nothing_harmful_passes_whatever_is_given(name: bytes, value: bytes) -> None:
    try:
        encoded = encode_headers([(name, value)])
    except ValueError:
        assert set(value) & set(b"\r\n\0") or set(name) - set(LETTERS) or not name
    else:
        assert encoded == folded([(name, value)])
        assert not set(value) & set(b"\r\n\0")
        assert not set(name) - set(LETTERS)


@pytest.mark.parametrize("pair", [("€", "a"), ("a", "€")])
def test_characters_that_a_header_cannot_have_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="Latin-1 characters only, not '€'; encode the others"):
        encode_headers([pair])


@pytest.mark.parametrize("name", ["", "a b", "a:", b"(a)", "é"])
def test_names_are_what_http_allows(name: str | bytes) -> None:
    with pytest.raises(ValueError, match="A header's name has letters"):
        encode_headers([(name, "a")])


@pytest.mark.parametrize("value", [0, 5, 500_000_000, None, ["a"], 1.5])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="name and value are str or bytes, not"):
        encode_headers({"Retry-After": value})
    with pytest.raises(TypeError, match="name and value are str or bytes, not"):
        encode_headers([(value, "a")])


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_may_be_of_any_kind(kind: Any) -> None:
    assert encode_headers([(kind(b"A"), kind(b"b"))]) == [(b"a", b"b")]


@pytest.mark.parametrize("headers", ["abc", b"abc", ["abc"], [("a",)], [("a", "b", "c")], [1]])
def test_what_is_no_pairs_is_refused(headers: Any) -> None:
    with pytest.raises(TypeError, match="Headers are pairs or a mapping, of str or bytes, not"):
        encode_headers(headers)


def test_a_response_is_described() -> None:
    assert encode_response_headers(None, b"abc") == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"3"),
    ]


@given(SAFE_PAIRS, st.binary(max_size=20))
def test_a_response_is_described_by_what_it_lacks(
    pairs: list[tuple[bytes, bytes]], content: bytes
) -> None:
    pairs = [(b"x-" + name, value) for name, value in pairs]
    fields = encode_response_headers(pairs, content)
    assert fields[: len(pairs)] == folded(pairs)
    assert fields[len(pairs) :] == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
    ]


@pytest.mark.parametrize("own", ["Content-Type", b"content-type", "CONTENT-TYPE"])
def test_a_response_has_the_type_that_it_was_given(own: str | bytes) -> None:
    fields = encode_response_headers([(own, "text/html")], b"abc")
    assert fields == [(b"content-type", b"text/html"), (b"content-length", b"3")]


class TestPassOnHeaders:
    """Headers as a program and its test compare them."""

    def test_nothing_but_text_is_changed(self) -> None:
        given: Any = [["X-B", b"1"], (b"x-a", "2"), (b"x-a", b"2")]
        assert pass_on_headers(given) == [[b"X-B", b"1"], (b"x-a", b"2"), (b"x-a", b"2")]
        assert pass_on_headers({"X-B": "1"}) == [(b"X-B", b"1")]
        assert pass_on_headers(None) == []

    @pytest.mark.parametrize("headers", ["X-A: 1", [("X-A",)], [7]])
    def test_what_is_no_list_of_pairs_is_refused(self, headers: Any) -> None:
        with pytest.raises(TypeError, match="pairs or a mapping"):
            pass_on_headers(headers)

    @pytest.mark.parametrize("end", ["\r", "\n", "\0"])
    def test_what_could_start_another_header_is_refused(self, end: str) -> None:
        for pair in [("X-A", f"1{end}"), (f"X-A{end}", "1")]:
            with pytest.raises(ValueError, match="CR, LF or NUL"):
                pass_on_headers([pair])
