"""Tokens that are hidden from one reader of a request and shown to another one."""

from typing import Any

from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from channels_auth.tokens import HeaderToken, QueryToken, SubprotocolToken

PIECES = st.sampled_from(
    [
        *("token", "to%6ben", "%74oken", "Token", "toke", "n", "tok+en", "%", "%zz", "%00", "+"),
        *("=", "&", "&&", ";", "=a", "=b&", "#", "a", "%26", "%3d", "\xff", "\0", "[]", " "),
    ]
)
QUERIES = st.lists(PIECES, max_size=10).map(lambda pieces: "".join(pieces).encode("latin-1"))


@given(QUERIES)
def test_no_token_of_a_query_is_left_for_the_application(query: bytes) -> None:
    scope: Any = {"query_string": query}
    found = QueryToken().take(scope)
    seen = QueryDict(query).getlist("token")
    assert len([*found]) == len(seen)
    rest = QueryDict(scope["query_string"])
    assert "token" not in rest
    # And nothing else is lost.
    others = [pair for pair in QueryDict(query).lists() if pair[0] != "token"]
    assert sorted(rest.lists()) == sorted(others)


OFFER = st.sampled_from(["token", "Token", "token ", "", "a", "chat.v1", "\r\n", "token,a"])


@given(st.lists(OFFER))
def test_no_token_of_the_subprotocols_is_left(offers: list[str]) -> None:
    line = ", ".join(offers).encode()
    headers = [(b"Sec-WebSocket-Protocol", line), (b"sec-websocket-protocol", line), (b"a", b"b")]
    scope: Any = {"subprotocols": offers, "headers": headers}
    tokens = [*SubprotocolToken().take(scope)]
    assert "token" not in scope["subprotocols"]
    assert len(tokens) * 2 + len(scope["subprotocols"]) in (len(offers), len(offers) + 1)
    if tokens:
        written = ", ".join(scope["subprotocols"]).encode()
        expected = [(b"sec-websocket-protocol", written)] if scope["subprotocols"] else []
        assert scope["headers"] == [(b"a", b"b"), *expected]
    else:
        assert scope["headers"] is headers


@given(st.lists(st.binary(max_size=20).map(lambda rest: b"Bearer" + rest), max_size=3))
def test_two_headers_are_never_one_token(values: list[bytes]) -> None:
    scope: Any = {"headers": [(b"Authorization", value) for value in values]}
    tokens = [*HeaderToken().take(scope)]
    assert len(tokens) == len(values) if len(values) > 1 else len(tokens) <= 1
