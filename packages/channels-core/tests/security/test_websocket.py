import asyncio
import logging
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import ParseResult, urlparse

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.urls import path
from hypothesis import example, given
from hypothesis import strategies as st

from channels_core.consumer import AsyncConsumer
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.security.websocket import (
    AllowedHostsOriginValidator,
    OriginValidator,
    WebsocketDenier,
)
from channels_core.typing import Receive, Scope, Send
from fakes import LocalLayer, Server

DENIED = [{"type": "websocket.close"}]


def scope(*origins: bytes, **others: Any) -> Scope:
    return {"headers": [(b"origin", origin) for origin in origins], **others}


async def answer(application: Any, *origins: bytes) -> list[Any]:
    """Return the answer to a handshake with the given origins."""
    server = Server(application, scope(*origins))
    answered = await server.connect()
    server.put({"type": "websocket.disconnect", "code": 1000})
    await server.end()
    return answered


async def is_let_in(application: Any, *origins: bytes) -> bool:
    answered = await answer(application, *origins)
    assert answered in (DENIED, [{"type": "websocket.accept", "subprotocol": None}])
    return answered != DENIED


class Inside(AsyncWebsocketConsumer):
    """Accepts every handshake that reaches it."""

    channel_layer_alias = None


def parsed(origin: str) -> ParseResult:
    return urlparse(origin)


class TestOriginValidator:
    async def test_pages_of_allowed_origins_are_let_in(self) -> None:
        validator = OriginValidator(Inside, ["example.com", "https://example.org"])
        assert await is_let_in(validator, b"http://example.com:8000")
        assert await is_let_in(validator, b"HTTPS://EXAMPLE.ORG")
        assert not await is_let_in(validator, b"http://example.org")
        assert not await is_let_in(validator, b"http://evil.example")

    @pytest.mark.parametrize(
        "origins",
        [
            [],
            [b"http://example.com", b"http://example.com"],
            [b"null"],
            [b""],
            [b"http://"],
            [b"example.com"],
            [b"http://example.com:99999"],
            [b"http://["],
            [b"http://example.com\r\nx: y"],
            [b"http://example.com\0"],
            ["http://example.com/é".encode()],
            [b"http://example.com/" + b"a" * 4000],
        ],
    )
    async def test_hostile_ones_are_refused_quietly(
        self, origins: list[bytes], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert await answer(OriginValidator(Inside, ["example.com"]), *origins) == DENIED
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("django.channels.security", logging.WARNING)
        assert record.exc_info is None
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 600

    async def test_the_warning_says_what_was_wrong(self, caplog: pytest.LogCaptureFixture) -> None:
        validator = OriginValidator(Inside, ["example.com"])
        await answer(validator, b"http://evil.example")
        await answer(validator)
        await answer(validator, b"a", b"b")
        assert caplog.messages == [
            "A handshake for '/ws/' was refused: its origin 'http://evil.example' is not allowed",
            "A handshake for '/ws/' was refused: it has no Origin header",
            "A handshake for '/ws/' was refused: there are 2 Origin headers",
        ]

    async def test_who_is_let_in_leaves_no_line(self, caplog: pytest.LogCaptureFixture) -> None:
        await answer(OriginValidator(Inside, ["a"]), b"http://a")
        assert not caplog.records

    async def test_the_application_never_hears_of_a_refusal(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            raise NotImplementedError

        assert await answer(OriginValidator(application, ["a"]), b"http://b") == DENIED

    async def test_a_refusal_has_status_403_where_the_server_can(self) -> None:
        offered = scope(b"http://b", extensions={"websocket.http.response": {}})
        server = Server(OriginValidator(Inside, ["a"]), offered)
        await server.connect()
        await server.end()
        start, body = server.received
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
        assert body == {"type": "websocket.http.response.body", "body": b"Forbidden"}

    async def test_a_refusal_opens_no_channel_and_ends_by_itself(self, layer: LocalLayer) -> None:
        server = Server(OriginValidator(Inside, ["a"]), scope(b"http://b"))
        assert await server.connect() == DENIED
        await server.end()
        assert layer.calls == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @pytest.mark.parametrize("origins", [[], [b"null"], [b"http://any.example"], [b"file://"]])
    async def test_a_star_lets_anybody_in(self, origins: list[bytes]) -> None:
        assert await is_let_in(OriginValidator(Inside, ["example.com", "*"]), *origins)
        assert await is_let_in(OriginValidator(Inside, "*"), *origins)

    @pytest.mark.parametrize("origins", [[b"a", b"b"], [b"http://["], [b"http://a:99999"], [b"\0"]])
    async def test_a_star_does_not_let_in_what_no_browser_sends(self, origins: list[bytes]) -> None:
        assert not await is_let_in(OriginValidator(Inside, ["*"]), *origins)

    async def test_a_scope_without_headers_has_no_origin(self) -> None:
        server = Server(OriginValidator(Inside, ["a"]))
        assert await server.connect() == DENIED
        await server.end()

    async def test_it_is_for_websockets_only(self) -> None:
        server = Server(OriginValidator(Inside, ["*"]), {"type": "http"})
        with pytest.raises(ValueError, match=r"on a non-WebSocket connection.* 'http'"):
            await server.end()

    async def test_what_the_application_returns_is_returned(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> Any:
            return scope["path"]

        validator = OriginValidator(application, ["a"])
        websocket = scope(b"http://a", type="websocket", path="/ws/")
        unused: Any = None
        assert await validator(websocket, unused, unused) == "/ws/"

    async def test_in_two_steps(self) -> None:
        inside: Any = MagicMock(return_value="instance")
        validator: Any = OriginValidator(inside, ["example.com"])
        allowed = {"type": "websocket", "headers": [(b"origin", b"https://example.com")]}
        assert validator(allowed) == "instance"
        inside.assert_called_once_with(allowed)
        denier = validator({"type": "websocket", "headers": []})
        assert isinstance(denier, WebsocketDenier)
        server = Server(lambda _, *channel: denier(*channel))
        assert (await server.connect())[0]["type"] == "websocket.close"
        inside.assert_called_once()

    def test_bad_patterns_are_refused_at_construction(self) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"expected 'example\.com'"):
            OriginValidator(Inside, ["http://"])
        wrong: Any = [None]
        with pytest.raises(ImproperlyConfigured, match="must be a str, not None"):
            OriginValidator(Inside, wrong)

    def test_what_is_no_application_is_refused_at_construction(self) -> None:
        with pytest.raises(TypeError, match="Expected an ASGI application"):
            OriginValidator("consumers.Chat", ["*"])

    def test_patterns_are_kept(self) -> None:
        patterns = iter(["example.com", " .example.org "])
        validator = OriginValidator(Inside, patterns)
        assert validator.allowed_origins == ["example.com", ".example.org"]
        assert OriginValidator(Inside, "example.com").allowed_origins == ["example.com"]

    async def test_a_router_may_stand_inside_in_a_route(self) -> None:
        inner = OriginValidator(URLRouter([path("tea/", Inside.as_asgi())]), ["a"])
        router = ProtocolTypeRouter({"websocket": URLRouter([path("ws/", inner)])})
        server = Server(router, scope(b"http://a", path="/ws/tea/"))
        assert await server.connect() != DENIED
        await server.leave()


class TestMethods:
    def test_valid_origin(self) -> None:
        validator = OriginValidator(Inside, ["a", ""])
        assert validator.valid_origin(parsed("http://a"))
        assert not validator.valid_origin(parsed("http://b"))
        assert not validator.valid_origin(parsed("http://a:99999"))
        assert not validator.valid_origin(None)
        assert OriginValidator(Inside, ["a", "*"]).valid_origin(None)
        assert OriginValidator(Inside, ["a", "*"]).valid_origin(parsed("http://a:99999"))

    def test_validate_origin(self) -> None:
        validator = OriginValidator(Inside, ["a", "b"])
        assert validator.validate_origin(parsed("http://b"))
        assert not validator.validate_origin(None)

    def test_match_allowed_origin(self) -> None:
        validator = OriginValidator(Inside, [])
        assert validator.match_allowed_origin(parsed("http://b.a"), ".a")
        assert not validator.match_allowed_origin(parsed("http://b.a"), "a")
        assert not validator.match_allowed_origin(None, "a")

    def test_get_origin_port(self) -> None:
        validator = OriginValidator(Inside, [])
        assert validator.get_origin_port(parsed("https://a")) == 443
        assert validator.get_origin_port(parsed("https://a:1")) == 1
        assert validator.get_origin_port(parsed("app://a")) is None

    async def test_a_subclass_may_decide_otherwise(self) -> None:
        class Mine(OriginValidator):
            def match_allowed_origin(self, parsed_origin: ParseResult | None, pattern: str) -> bool:
                return parsed_origin is not None and parsed_origin.scheme == pattern

        assert await is_let_in(Mine(Inside, ["app"]), b"app://anything")


class TestAllowedHosts:
    @pytest.mark.parametrize("origin", [b"http://example.com", b"https://a.example.org:8443"])
    async def test_pages_of_the_sites_hosts_are_let_in(self, origin: bytes, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["example.com", ".example.org"]
        assert await is_let_in(AllowedHostsOriginValidator(Inside), origin)

    async def test_others_are_not(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["example.com"]
        assert not await is_let_in(AllowedHostsOriginValidator(Inside), b"http://evil.example")

    async def test_the_setting_is_read_with_each_handshake(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["a"]
        validator = AllowedHostsOriginValidator(Inside)
        settings.ALLOWED_HOSTS = ["b"]
        assert not await is_let_in(validator, b"http://a")
        assert await is_let_in(validator, b"http://b")
        assert list(validator.allowed_origins) == ["b"]
        assert repr(validator.allowed_origins) == "['b']"
        assert len(validator.allowed_origins) == 1

    @pytest.mark.parametrize(
        "origin",
        [b"http://localhost:8000", b"http://a.localhost", b"http://127.0.0.1", b"http://[::1]:1"],
    )
    async def test_names_of_this_machine_are_allowed_under_debug(
        self, origin: bytes, settings: Any
    ) -> None:
        settings.ALLOWED_HOSTS = []
        validator = AllowedHostsOriginValidator(Inside)
        assert not await is_let_in(validator, origin)
        settings.DEBUG = True
        assert await is_let_in(validator, origin)
        settings.ALLOWED_HOSTS = ["example.com"]
        assert not await is_let_in(validator, origin)

    @pytest.mark.parametrize("bad", ["*.example.com", "http://", None, 5, ["a"]])
    async def test_an_entry_that_is_no_pattern_matches_nothing(
        self, bad: Any, settings: Any
    ) -> None:
        settings.ALLOWED_HOSTS = [bad, "b"]
        validator = AllowedHostsOriginValidator(Inside)
        assert not await is_let_in(validator, b"http://a.example.com")
        assert await is_let_in(validator, b"http://b")

    async def test_a_star_lets_anybody_in(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        assert await is_let_in(AllowedHostsOriginValidator(Inside))

    def test_it_is_an_origin_validator(self) -> None:
        assert type(AllowedHostsOriginValidator(Inside)) is OriginValidator


class TestDenier:
    async def test_it_refuses_every_handshake(self, layer: LocalLayer) -> None:
        assert await answer(WebsocketDenier.as_asgi(), b"http://a") == DENIED
        assert layer.calls == []

    async def test_the_class_of_a_program_has_its_layer(self, layer: LocalLayer) -> None:
        class Telling(WebsocketDenier):
            pass

        assert await answer(Telling.as_asgi(), b"http://a") == DENIED
        assert ("new_channel",) in layer.calls

    def test_it_is_a_consumer(self) -> None:
        assert issubclass(WebsocketDenier, AsyncConsumer)


ALLOWED = ["example.com", ".example.org", "https://example.net", "app://x:5"]
ORIGINS = st.one_of(
    st.binary(max_size=60),
    st.text("htps:/[]@#?.example-com0139%\\ é\n", max_size=60).map(str.encode),
    st.builds(
        lambda *parts: "".join(parts).encode(),
        st.sampled_from(["http://", "https://", "HTTPS://", "app://", "//", ""]),
        st.sampled_from(["", "u@", "example.com@", "a.", ".", "x\\", "example.org/"]),
        st.sampled_from(
            ["example.com", "Example.ORG", "example.net", "evil.example", "x", "[::1]"]
        ),
        st.sampled_from(
            ["", ".", ".evil", ":80", ":443", ":5", ":99999", ":", "/", "#a", "?b", "\\"]
        ),
    ),
)


@given(st.lists(ORIGINS, max_size=2))
@example([b"http://evil.example\\.example.org"])
@example([b"http://example.com@evil.example"])
@example([b"http://evil.example#.example.org"])
@example([b"https://example.net:443"])
def test_no_origin_raises_and_none_is_let_in_but_by_its_pattern(origins: list[bytes]) -> None:
    """The validator agrees with an independent reading of the patterns."""
    let_in = asyncio.run(is_let_in(OriginValidator(Inside, ALLOWED), *origins))
    if not let_in:
        return
    (origin,) = origins
    url = urlparse(origin.decode("ascii"))
    host = (url.hostname or "").removesuffix(".")
    assert (
        host == "example.com"
        or host == "example.org"
        or (host.endswith(".example.org") and host.replace(".", "").replace("-", "").isalnum())
        or (host == "example.net" and url.scheme == "https" and url.port in (None, 443))
        or (host == "x" and url.scheme == "app" and url.port == 5)
    )


async def test_a_wildcard_inside_a_pattern_matches_nothing_and_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    validator = OriginValidator(Inside, ["*.example.com"])
    assert caplog.messages == [
        (
            "OriginValidator: '*.example.com' is not a pattern for origins: a wildcard must stand "
            "alone. For a domain and its subdomains, write '.example.com'. As it is, it matches "
            "nothing"
        )
    ]
    for origin in (b"http://a.example.com", b"http://example.com"):
        assert not await is_let_in(validator, origin)
