"""Headers that a program passes on from somewhere, as an attacker would like them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.headers import encode_accept_headers, encode_response_headers
from channels_core.refusal import refusal
from channels_core.typing import Scope

FRAMING = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
]
#: Their names with any letters in upper case, as str or bytes.
NAMES = st.builds(
    lambda name, cases, as_bytes: (
        as_given(name, cases).encode() if as_bytes else as_given(name, cases)
    ),
    st.sampled_from(FRAMING),
    st.integers(0, 2**24),
    st.booleans(),
)
VALUES = st.sampled_from(["chunked", "7", "0", "-1", "close", "websocket", "", "a, b"])
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
DENIAL: Scope = {"type": "websocket", "extensions": {"websocket.http.response": {}}}


def as_given(name: str, cases: int) -> str:
    """Return a name whose letters are in upper case where a bit of the number is set."""
    letters = enumerate(name)
    return "".join(each.upper() if cases >> at & 1 else each.lower() for at, each in letters)


@given(PAIRS, st.sampled_from(["", " ", "\t"]))
def test_an_accepted_handshake_has_none_of_them(
    pairs: list[tuple[str | bytes, str]], space: str
) -> None:
    written: list[Any] = [
        (name + space if isinstance(name, str) else name, value) for name, value in pairs
    ]
    lists: list[Any] = [[*pair] for pair in written]
    headers: list[Any] = [("X-A", "1"), *written, *lists, ["X-B", "2"]]
    assert encode_accept_headers(headers, None) == [(b"X-A", b"1"), [b"X-B", b"2"]]


@given(PAIRS, st.binary(max_size=20))
def test_a_response_ends_where_its_body_ends(
    pairs: list[tuple[str | bytes, str]], body: bytes
) -> None:
    length = (b"content-length", str(len(body)).encode())
    expected = [(b"x-a", b"1"), (b"content-type", b"text/plain; charset=utf-8"), length]
    assert encode_response_headers([("X-A", "1"), *pairs], body) == expected
    for scope in ({"type": "http"}, DENIAL):
        start, _ = refusal(scope, 401, headers=[("X-A", "1"), *pairs], body=body)
        assert start["headers"] == expected


def test_a_subprotocol_is_announced_once() -> None:
    headers = [("Sec-WebSocket-Protocol", "chat")]
    # Programs for earlier releases choose it in this way, too.
    assert encode_accept_headers(headers, None) == [(b"Sec-WebSocket-Protocol", b"chat")]
    assert encode_accept_headers(headers, "chat") == []


@pytest.mark.parametrize("scope", [{"type": "http"}, DENIAL])
def test_a_refusal_by_a_server_is_not_taken_for_a_page(scope: Scope) -> None:
    served = {**scope, "asgi": {"version": "3.0"}}
    nosniff = (b"x-content-type-options", b"nosniff")
    assert nosniff in refusal(served, 403)[0]["headers"]
    own = refusal(served, 403, headers={"X-Content-Type-Options": "other"})[0]["headers"]
    assert (b"x-content-type-options", b"other") in own
    assert nosniff not in own
    # A test that compares headers exactly has such a scope.
    assert nosniff not in refusal(scope, 403)[0]["headers"]
