import contextlib
import re
from datetime import UTC, datetime, timedelta
from http.cookies import CookieError, Morsel
from typing import Any

import pytest
from django.http import HttpResponse
from django.http.cookie import parse_cookie
from hypothesis import given
from hypothesis import strategies as st

from channels_auth.cookies import CookieMiddleware
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.middleware import BaseMiddleware
from channels_core.typing import Message, Receive, Scope, Send
from servers import Server, cookies_of, http, websocket


async def show(scope: Scope, receive: Receive, send: Send) -> Any:
    return scope.get("cookies")


async def nothing(*args: Any) -> Any:
    raise NotImplementedError


async def test_a_replaced_call_of_the_base_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    own = BaseMiddleware.__call__

    def call(self: Any, *args: Any) -> Any:
        called.append(self)
        return own(self, *args)

    monkeypatch.setattr(BaseMiddleware, "__call__", call)
    assert await cookies(b"a=1") == {"a": "1"}
    assert len(called) == 1


async def cookies(*lines: bytes, name: bytes = b"cookie") -> Any:
    scope = {"type": "http", "headers": [(b"host", b"a"), *((name, line) for line in lines)]}
    return await CookieMiddleware(show)(scope, nothing, nothing)


class TestReading:
    async def test_a_client_without_cookies(self) -> None:
        assert await cookies() == {}

    async def test_they_are_parsed_as_django_does(self) -> None:
        line = 'a=1; b="x\\054y"; a=2; lonely; =nameless; c = d ; e=f=g'
        assert await cookies(line.encode()) == parse_cookie(line)

    async def test_several_headers_belong_together(self) -> None:
        assert await cookies(b"a=1", b"b=2; c=3") == {"a": "1", "b": "2", "c": "3"}

    async def test_the_header_is_found_in_upper_and_lower_case(self) -> None:
        assert await cookies(b"a=1", name=b"Cookie") == {"a": "1"}

    async def test_invalid_bytes_do_not_lose_other_cookies(self) -> None:
        found = await cookies(b"a=\xff\xfe; b=2", b"\x00\xff", b"c=3")
        assert (found["a"], found["b"], found["c"]) == ("\xff\xfe", "2", "3")

    @given(st.lists(st.binary(max_size=50), max_size=4))
    async def test_nothing_that_a_client_sends_is_an_error(self, lines: list[bytes]) -> None:
        found = await cookies(*lines)
        assert all(isinstance(part, str) for pair in found.items() for part in pair)

    async def test_the_callers_scope_is_not_changed(self) -> None:
        scope = {"type": "http", "headers": []}
        await CookieMiddleware(show)(scope, nothing, nothing)
        assert scope == {"type": "http", "headers": []}

    async def test_a_scope_without_headers_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="did not have a headers key"):
            await CookieMiddleware(show)({"type": "websocket"}, nothing, nothing)

    @pytest.mark.parametrize("kind", ["lifespan", "channel"])
    async def test_scopes_without_a_client_pass(self, kind: str) -> None:
        assert await CookieMiddleware(show)({"type": kind}, nothing, nothing) is None


def written(**attributes: Any) -> str:
    message: dict[str, Any] = {"type": "http.response.start"}
    CookieMiddleware.set_cookie(message, "key", "value", **attributes)
    [(name, value)] = message["headers"]
    assert name == b"Set-Cookie"
    return str(value.decode())


class TestWriting:
    def test_a_plain_one(self) -> None:
        assert written() == "key=value; Path=/; SameSite=lax"

    @pytest.mark.parametrize(
        ("attributes", "text"),
        [
            ({"path": None}, "key=value; SameSite=lax"),
            ({"path": "/a/"}, "key=value; Path=/a/; SameSite=lax"),
            ({"domain": "example.com"}, "key=value; Domain=example.com; Path=/; SameSite=lax"),
            ({"secure": True}, "key=value; Path=/; SameSite=lax; Secure"),
            ({"httponly": True}, "key=value; HttpOnly; Path=/; SameSite=lax"),
            ({"samesite": "Strict"}, "key=value; Path=/; SameSite=Strict"),
            ({"samesite": "None"}, "key=value; Path=/; SameSite=None"),
            ({"samesite": None}, "key=value; Path=/"),
        ],
    )
    def test_its_attributes(self, attributes: dict[str, Any], text: str) -> None:
        assert written(**attributes) == text

    @pytest.mark.parametrize("max_age", [90, 90.5, timedelta(minutes=1.5)])
    def test_seconds_that_it_is_kept(self, max_age: Any) -> None:
        assert re.fullmatch(
            r"key=value; expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; Max-Age=90; Path=/; "
            r"SameSite=lax",
            written(max_age=max_age),
        )

    def test_when_it_ends(self) -> None:
        text = "Wed, 09 Jun 2100 10:18:14 GMT"
        assert f"expires={text};" in written(expires=text)
        assert "Max-Age=" in written(expires=datetime(2100, 6, 9, tzinfo=UTC))

    def test_arguments_may_be_given_as_in_django(self) -> None:
        response = HttpResponse()
        response.set_cookie("a", 'b "c", d', max_age=5, samesite="Lax", httponly=True)
        message: dict[str, Any] = {}
        CookieMiddleware.set_cookie(
            message, "a", 'b "c", d', max_age=5, samesite="Lax", httponly=True
        )
        without_time = re.compile(r"expires=[^;]*")
        assert without_time.sub("", cookies_of(message)["a"]) == without_time.sub(
            "", response.cookies["a"].OutputString()
        )

    def test_characters_beyond_latin_1_are_sent(self) -> None:
        message: dict[str, Any] = {}
        CookieMiddleware.set_cookie(message, "a", "日本")
        assert "日本" in cookies_of(message)["a"]

    def test_other_headers_and_the_programs_list_stay_unchanged(self) -> None:
        headers = [(b"x", b"y")]
        message: dict[str, Any] = {"type": "websocket.accept", "headers": headers}
        CookieMiddleware.set_cookie(message, "a", "1")
        CookieMiddleware.set_cookie(message, "b", "2")
        assert headers == [(b"x", b"y")]
        assert [name for name, _ in message["headers"]] == [b"x", b"Set-Cookie", b"Set-Cookie"]

    @pytest.mark.parametrize("character", ["\r", "\n", "\0", ";"])
    @pytest.mark.parametrize("part", ["path", "domain", "expires"])
    def test_characters_that_start_a_header_or_attribute_are_refused(
        self, part: str, character: str
    ) -> None:
        message: dict[str, Any] = {}
        parts: Any = {"key": "key", "value": "value", part: f"a{character}b"}
        with pytest.raises(ValueError, match=f"A cookie's {part} must not contain"):
            CookieMiddleware.set_cookie(message, **parts)
        assert message == {}

    @pytest.mark.parametrize("character", ["\r", "\n", ";"])
    def test_no_value_breaks_out_of_its_quotes(self, character: str) -> None:
        """Newer Pythons refuse control characters there."""
        message: dict[str, Any] = {"headers": []}
        with contextlib.suppress(CookieError):
            CookieMiddleware.set_cookie(message, "key", f"a{character}b")
        assert all(character not in value.decode()[:10] for _, value in message["headers"])

    def test_a_value_with_a_semicolon(self) -> None:
        message: dict[str, Any] = {}
        CookieMiddleware.set_cookie(message, "key", "a;b")
        assert cookies_of(message)["key"].startswith(r'key="a\073b"; ')

    @pytest.mark.parametrize("key", ["a b", "a;b", "a\r\nb", "a\0"])
    @pytest.mark.parametrize("kind", [ValueError, CookieError])
    def test_an_invalid_name_is_refused(self, key: str, kind: type[Exception]) -> None:
        message: dict[str, Any] = {}
        with pytest.raises(kind, match=r"^Illegal key") as caught:
            CookieMiddleware.set_cookie(message, key)
        assert caught.value.__notes__ == [f"{key!r} with this value cannot be a cookie."]
        assert message == {}

    @pytest.mark.parametrize("samesite", ["lax\r\nx: y", "foo", ""])
    @pytest.mark.parametrize("kind", [AssertionError, ValueError])
    def test_samesite_is_one_of_three_words(self, samesite: str, kind: type[Exception]) -> None:
        with pytest.raises(kind, match=r"^samesite must be either 'strict', 'lax' or 'none'$"):
            written(samesite=samesite)

    def test_expires_takes_precedence_over_max_age(self) -> None:
        assert "expires=Wed, 09 Jun 2100" in written(
            max_age=5, expires=datetime(2100, 6, 9, tzinfo=UTC)
        )

    def test_it_may_be_partitioned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As Python 3.14 knows it from the start."""
        known = {**Morsel._reserved, "partitioned": "Partitioned"}  # type: ignore[attr-defined] # private there
        flags = {*Morsel._flags, "partitioned"}  # type: ignore[attr-defined] # the same
        monkeypatch.setattr(Morsel, "_reserved", known)
        monkeypatch.setattr(Morsel, "_flags", flags)
        assert written(partitioned=True) == "key=value; Partitioned; Path=/; SameSite=lax"

    def test_a_python_without_partitioned_raises_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = {name: text for name, text in Morsel._reserved.items() if name != "partitioned"}  # type: ignore[attr-defined] # private there
        monkeypatch.setattr(Morsel, "_reserved", known)
        with pytest.raises(NotImplementedError, match="Partitioned attribute"):
            written(partitioned=True)


class TestDeleting:
    def test_a_plain_one(self) -> None:
        message: dict[str, Any] = {}
        CookieMiddleware.delete_cookie(message, "key")
        assert message["headers"] == [
            (
                b"Set-Cookie",
                b'key=""; expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=lax',
            )
        ]

    def test_with_the_path_and_domain_that_it_was_set_with(self) -> None:
        message: dict[str, Any] = {}
        CookieMiddleware.delete_cookie(message, "key", path="/a/", domain="example.com")
        assert "Domain=example.com; " in cookies_of(message)["key"]
        assert "Path=/a/" in cookies_of(message)["key"]

    @pytest.mark.parametrize(
        ("key", "attributes", "secure"),
        [
            ("key", {}, False),
            ("__Host-key", {}, True),
            ("__Secure-key", {}, True),
            ("key", {"samesite": "None"}, True),
            ("key", {"samesite": None}, False),
            ("key", {"secure": True}, True),
            ("__Host-key", {"secure": False}, False),
        ],
    )
    def test_secure_is_added_where_browsers_require_it(
        self, key: str, attributes: dict[str, Any], secure: bool
    ) -> None:
        message: dict[str, Any] = {}
        CookieMiddleware.delete_cookie(message, key, **attributes)
        assert ("; Secure" in cookies_of(message)[key]) is secure


class Greeting(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        message: dict[str, Any] = {"type": "websocket.accept"}
        CookieMiddleware.set_cookie(message, "seen", str(len(self.scope["cookies"])))
        await self.base_send(message)


async def test_a_consumer_sets_one_as_it_accepts() -> None:
    server = Server(CookieMiddleware(Greeting), websocket({"a": "1", "b": "2"}))
    accepted = await server.connect()
    assert cookies_of(accepted)["seen"].startswith("seen=2;")
    await server.leave()


async def test_a_response_sets_one() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": 200}
        CookieMiddleware.set_cookie(start, "a", scope["cookies"]["b"])
        await send(start)
        await send({"type": "http.response.body"})

    start: Message = await Server(CookieMiddleware(application), http({"b": "c"})).request()
    assert cookies_of(start) == {"a": "a=c; Path=/; SameSite=lax"}
