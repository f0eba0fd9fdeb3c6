from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from channels_auth._tokens.sources import (
    FirstMessageToken,
    HeaderToken,
    QueryToken,
    SubprotocolToken,
    TokenSource,
    offer,
)
from channels_core.typing import Scope


def taken(source: TokenSource, scope: Scope) -> list[str]:
    return list(source.take(scope))


def headers(*values: bytes, name: bytes = b"authorization") -> Scope:
    return {"headers": [(b"host", b"a"), *((name, value) for value in values)]}


class TestHeader:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"Bearer abc", ["abc"]),
            (b"bearer  abc ", ["abc"]),
            (b"Basic abc", []),
            (b"Bearerabc", []),
            (b"", []),
            # To be refused: not one token.
            (b"Bearer", [""]),
            (b"Bearer a b", ["a b"]),
            (b"Bearer a, Bearer b", ["a, Bearer b"]),
            (b"Bearer \xff", ["\xff"]),
        ],
    )
    def test_the_token_follows_the_scheme(self, value: bytes, expected: list[str]) -> None:
        assert taken(HeaderToken(), headers(value)) == expected

    def test_a_repeated_header_is_never_one_token(self) -> None:
        for values in ((b"Bearer a", b"Bearer b"), (b"Bearer a", b"Basic b"), (b"a", b"a")):
            assert len(taken(HeaderToken(), headers(*values))) == 2

    def test_another_header_without_a_scheme(self) -> None:
        source = HeaderToken("X-API-Key", scheme=None)
        assert source.challenge is None
        assert taken(source, headers(b"abc", name=b"x-api-key")) == ["abc"]
        assert taken(source, headers(b"abc", name=b"X-Api-Key")) == ["abc"]
        assert taken(source, headers(b"", name=b"x-api-key")) == [""]
        assert len(taken(source, headers(b"a", b"b", name=b"x-api-key"))) == 2
        assert taken(source, headers(b"Bearer abc")) == []

    def test_the_scope_is_unchanged(self) -> None:
        scope = headers(b"Token abc")
        assert taken(HeaderToken(scheme="Token"), scope) == ["abc"]
        assert scope == headers(b"Token abc")

    def test_a_scope_without_headers(self) -> None:
        assert taken(HeaderToken(), {}) == []

    def test_the_challenge_is_the_scheme(self) -> None:
        assert HeaderToken(scheme="Token").challenge == "Token"


class TestSubprotocol:
    @pytest.mark.parametrize(
        ("offered", "expected", "left"),
        [
            (["token", "abc"], ["abc"], []),
            (["chat.v1", "token", "abc", "chat.v2"], ["abc"], ["chat.v1", "chat.v2"]),
            (["token"], [""], []),
            (["chat.v1", "token"], [""], ["chat.v1"]),
            (["token", "a", "token", "b"], ["a", "b"], []),
            (["token", "token"], ["token"], []),
            (["Token", "abc"], [], ["Token", "abc"]),
            ([], [], []),
        ],
    )
    def test_the_token_follows_the_name(
        self, offered: list[str], expected: list[str], left: list[str]
    ) -> None:
        scope = {"subprotocols": offered}
        assert taken(SubprotocolToken(), scope) == expected
        assert scope["subprotocols"] == left

    def test_the_token_is_removed_from_the_headers(self) -> None:
        original = [
            (b"sec-websocket-protocol", b"token"),
            (b"host", b"a"),
            (b"Sec-WebSocket-Protocol", b"abc, chat.v1, chat.v2"),
        ]
        scope = {"subprotocols": ["token", "abc", "chat.v1", "chat.v2"], "headers": original}
        taken(SubprotocolToken(), scope)
        assert scope["headers"] == [
            (b"host", b"a"),
            (b"sec-websocket-protocol", b"chat.v1, chat.v2"),
        ]
        assert len(original) == 3

    def test_another_name(self) -> None:
        source = SubprotocolToken("access_token")
        assert source.subprotocol == "access_token"
        assert taken(source, {"subprotocols": ["token", "a", "access_token", "b"]}) == ["b"]

    def test_a_scope_without_subprotocols(self) -> None:
        scope: Scope = {}
        assert taken(SubprotocolToken(), scope) == []
        assert scope == {}

    def test_without_subprotocols_the_header_is_removed(self) -> None:
        scope = {"headers": [(b"sec-websocket-protocol", b"abc")]}
        offer(scope, [])
        assert scope == {"headers": [], "subprotocols": []}


class TestQuery:
    @pytest.mark.parametrize(
        ("query", "expected", "left"),
        [
            (b"token=abc", ["abc"], b""),
            (b"a=%20b&token=abc&&c;d=+", ["abc"], b"a=%20b&&c;d=+"),
            (b"%74oke%6E=a%2Eb", ["a.b"], b""),
            (b"token=a+b=", ["a+b="], b""),
            (b"token", [""], b""),
            (b"token=a&x=y&token=b", ["a", "b"], b"x=y"),
            (b"token=%FF%00%zz", ["\xff\0%zz"], b""),
            (b"Token=a&tokens=b&+token=c", [], b"Token=a&tokens=b&+token=c"),
            (b"", [], b""),
            (None, [], None),
        ],
    )
    def test_the_parameter_is_removed(
        self, query: bytes | None, expected: list[str], left: bytes | None
    ) -> None:
        scope = {"query_string": query}
        assert taken(QueryToken(), scope) == expected
        assert scope == {"query_string": left}

    def test_another_name(self) -> None:
        scope = {"query_string": b"a+key=1&token=2"}
        assert taken(QueryToken("a key"), scope) == ["1"]
        assert scope["query_string"] == b"token=2"

    @given(st.text("token=&%67+;x", max_size=30))
    def test_every_encoding_that_django_reads_is_found(self, query: str) -> None:
        scope = {"query_string": query.encode()}
        tokens = taken(QueryToken(), scope)
        assert len(tokens) == len(QueryDict(query).getlist("token"))
        assert "token" not in QueryDict(scope["query_string"])


class TestFirstMessage:
    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
    def test_it_does_not_wait_for_ever(self, timeout: float) -> None:
        with pytest.raises(ValueError, match="timeout is a positive and finite number"):
            FirstMessageToken(timeout)

    @pytest.mark.parametrize("timeout", [None, "5", True])
    def test_seconds_are_a_number(self, timeout: Any) -> None:
        with pytest.raises(TypeError, match="timeout is a number of seconds, not "):
            FirstMessageToken(timeout)

    def test_a_str_is_not_a_list_of_subprotocols(self) -> None:
        with pytest.raises(TypeError, match=r"as in \['chat\.v1'\], not one str"):
            FirstMessageToken(subprotocols="chat.v1")
        assert FirstMessageToken(1, subprotocols=iter(["chat.v1"])).subprotocols == ("chat.v1",)

    def test_it_is_not_in_the_scope(self) -> None:
        assert taken(FirstMessageToken(), {"query_string": b"token=a"}) == []

    def test_the_text_is_the_token(self) -> None:
        assert FirstMessageToken().read("abc") == "abc"

    @pytest.mark.parametrize(
        ("text", "token"),
        [
            ('{"token": "abc", "more": 1}', "abc"),
            ('{"token": 5}', ""),
            ('{"tokens": "abc"}', ""),
            ('["token"]', ""),
            ('"token"', ""),
            ("abc", ""),
            ("[" * 100_000, ""),
            ("9" * 5000, ""),
            ("", ""),
        ],
    )
    def test_it_is_in_an_object(self, text: str, token: str) -> None:
        assert FirstMessageToken(key="token").read(text) == token

    @given(st.text('{"token":1,}[]\\u d8', max_size=20))
    def test_invalid_json_is_not_an_error(self, text: str) -> None:
        assert isinstance(FirstMessageToken(key="token").read(text), str)


def test_a_source_has_to_define_take() -> None:
    class Cookie(TokenSource):
        pass

    with pytest.raises(NotImplementedError, match=r"Cookie has to define take\(\)"):
        Cookie().take({})
