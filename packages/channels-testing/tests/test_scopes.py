import json
from decimal import Decimal
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.http import parse_cookie

from channels_core.typing import Scope
from channels_testing._scopes import (
    add_cookies,
    encode_form,
    encode_json,
    http_scope,
    websocket_scope,
)

COMMON = {"path": "/rooms/", "query_string": b"", "headers": []}


class TestWhole:
    def test_http(self) -> None:
        scope = http_scope("get", "/rooms/")
        assert scope == {**COMMON, "type": "http", "method": "GET", "http_version": "1.1"}

    def test_websocket(self) -> None:
        scope = websocket_scope("/rooms/")
        assert scope == {**COMMON, "type": "websocket", "subprotocols": []}

    def test_two_share_nothing(self) -> None:
        one, other = websocket_scope("/"), websocket_scope("/")
        for key in ("headers", "subprotocols"):
            assert one[key] is not other[key]


class TestPath:
    @pytest.mark.parametrize(
        ("given", "path", "query"),
        [
            ("/a%20b/?x=1&y=%26", "/a b/", b"x=1&y=%26"),
            ("/caf\u00e9/?q=\u00e9", "/caf\u00e9/", "q=\u00e9".encode()),
            ("/a b/?q=c d", "/a b/", b"q=c d"),
            ("/a?b?c#d", "/a", b"b?c"),
            ("http://example.com/a/?b=c", "/a/", b"b=c"),
            ("WSS://example.com?b=c", "", b"b=c"),
            ("//other/a/", "//other/a/", b""),
            ("room:1/?a", "room:1/", b"a"),
            ("/to/ws://b/", "/to/ws://b/", b""),
            ("testws/", "testws/", b""),
            ("/a#b?c", "/a", b""),
            ("/a%0Ab/", "/a\nb/", b""),
            ("", "", b""),
        ],
    )
    def test_paths_and_urls(self, given: str, path: str, query: bytes) -> None:
        scope = http_scope("GET", given)
        assert (scope["path"], scope["query_string"]) == (path, query)

    @pytest.mark.parametrize("given", [b"/", None, 1])
    def test_other_types_of_paths_are_rejected(self, given: Any) -> None:
        with pytest.raises(TypeError, match=r"Expected a path as a str, got "):
            websocket_scope(given)

    @pytest.mark.parametrize("given", ["/a\nb", "/\t", "\0", "/?a=\r", "/\x7f"])
    def test_control_characters_are_encoded(self, given: str) -> None:
        with pytest.raises(ValueError, match="no control characters; percent-encode them: "):
            http_scope("GET", given)


class TestQuery:
    @pytest.mark.parametrize(
        ("path", "query", "string"),
        [
            ("/", {"room": "tea & cake"}, b"room=tea+%26+cake"),
            ("/?a=1", {"b": 2}, b"a=1&b=2"),
            ("/", [("a", 1), ("a", 2)], b"a=1&a=2"),
            ("/", {"a": ["x", "y"]}, b"a=x&a=y"),
            ("/", "already=encoded%20here", b"already=encoded%20here"),
            ("/?a=1", None, b"a=1"),
        ],
    )
    def test_it_is_added(self, path: str, query: Any, string: bytes) -> None:
        assert websocket_scope(path, query=query)["query_string"] == string

    def test_of_nothing(self) -> None:
        assert encode_form(None) == ""


class TestJSON:
    def test_types_that_django_knows(self) -> None:
        assert encode_json({"a": [Decimal("1.50"), None]}) == '{"a": ["1.50", null]}'

    def test_with_another_encoder(self) -> None:
        with pytest.raises(TypeError, match="not JSON serializable"):
            encode_json(Decimal(1), json.JSONEncoder)


class TestHeaders:
    @pytest.mark.parametrize(
        "pairs",
        [
            [(b"X-B", b"1"), (b"x-a", b"2"), (b"x-b", b"3")],
            [[b"X-B", b"1"]],
            ((b"X-B", b"1"),),
        ],
    )
    def test_pairs_of_bytes_are_used_as_they_are(self, pairs: Any) -> None:
        assert websocket_scope("/", pairs)["headers"] is pairs

    def test_str_among_them_is_encoded(self) -> None:
        pairs: list[Any] = [(b"X-B", b"1"), ("X-A", "2"), (b"x-b", "3")]
        expected = [(b"X-B", b"1"), (b"x-a", b"2"), (b"x-b", b"3")]
        assert websocket_scope("/", pairs)["headers"] == expected
        assert websocket_scope("/", iter(pairs))["headers"] == expected

    @pytest.mark.parametrize("wrong", ["a: b", b"a: b", ["abc"], [(b"a", 1)], [(b"a",)]])
    def test_other_types_of_headers_are_rejected(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"[Hh]eader"):
            websocket_scope("/", wrong)

    def test_a_mapping(self) -> None:
        assert http_scope("GET", "/", {"Host": "localhost"})["headers"] == [(b"host", b"localhost")]

    def test_a_value_cannot_start_another_one(self) -> None:
        with pytest.raises(ValueError, match="must not contain CR, LF or NUL"):
            websocket_scope("/", {"x": "a\r\nhost: b"})


class TestWebsocket:
    def test_subprotocols(self) -> None:
        assert websocket_scope("/", subprotocols=("a", "b"))["subprotocols"] == ("a", "b")
        assert websocket_scope("/", subprotocols=iter("ab"))["subprotocols"] == ["a", "b"]

    def test_the_version_is_where_programs_look(self) -> None:
        scope = websocket_scope("/", spec_version="2.1")
        assert scope["spec_version"] == "2.1"
        assert "asgi" not in scope

    def test_a_server_that_can_send_a_response(self) -> None:
        scope = websocket_scope("/", denial_response=True)
        assert scope["extensions"] == {"websocket.http.response": {}}


class TestCookies:
    def test_they_are_one_header(self) -> None:
        scope: Scope = {"headers": [(b"host", b"a")]}
        add_cookies(scope, {"theme": "dark", "size": 3})
        assert scope["headers"] == [(b"host", b"a"), (b"cookie", b"theme=dark; size=3")]

    def test_they_join_those_that_are_there(self) -> None:
        scope: Scope = {"headers": [(b"Cookie", b"a=1; b=2"), (b"host", b"a")]}
        add_cookies(scope, {"c": "3"})
        assert scope["headers"] == [(b"host", b"a"), (b"cookie", b"a=1; b=2; c=3")]

    def test_those_of_djangos_client(self) -> None:
        scope: Scope = {}
        cookies = SimpleCookie({"theme": "dark"})
        cookies["theme"]["path"] = "/"
        add_cookies(scope, cookies)
        assert scope == {"headers": [(b"cookie", b"theme=dark")]}

    def test_those_that_are_written_in_quotes(self) -> None:
        scope: Scope = {}
        add_cookies(scope, SimpleCookie({"theme": 'dark; "blue"'}))
        ((_, line),) = scope["headers"]
        assert line == rb'theme="dark\073 \"blue\""'
        assert parse_cookie(line.decode()) == {"theme": 'dark; "blue"'}

    def test_none(self) -> None:
        scope: Scope = {}
        add_cookies(scope, {})
        assert scope == {}

    @pytest.mark.parametrize("value", ["a;b", "a\r", "a\n", "a\0"])
    def test_a_value_cannot_start_another_one(self, value: str) -> None:
        with pytest.raises(ValueError, match="A cookie must not contain"):
            add_cookies({}, {"theme": value})
