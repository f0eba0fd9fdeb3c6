"""Origins and hosts that are made to look like those of the site."""

from typing import Any

import pytest
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from hypothesis import given
from hypothesis import strategies as st

from channels_core.security.websocket import AllowedHostsOriginValidator, OriginValidator
from channels_core.typing import Receive, Scope, Send

#: What hosts are made of, and what is close to it.
PIECES = st.sampled_from(
    [
        *("example.com", "localhost", "127.0.0.1", "[::1]", "evil.example", "www", "EXAMPLE.com"),
        *".:@/\\#?% \t\n\xa0\u3002-_*[]",
        *("80", "8000", "%2e", "xn--", ".example.com", "null"),
    ]
)
HOSTS = st.lists(PIECES, min_size=1, max_size=4).map("".join)


async def inner(scope: Scope, receive: Receive, send: Send) -> str:
    return "let in"


class Handshake:
    """Ask a validator, and keep what it sends."""

    def __init__(self, **options: Any) -> None:
        self.validator = AllowedHostsOriginValidator(inner, **options)

    async def __call__(self, *headers: tuple[str, str], scheme: str = "ws", **scope: Any) -> bool:
        pairs = [(name.encode(), value.encode("utf-8")) for name, value in headers]
        whole = {"type": "websocket", "path": "/", "headers": pairs, "scheme": scheme, **scope}

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            assert message["type"] == "websocket.close"

        return bool(await self.validator(whole, receive, send) == "let in")


def django_allows(host: str, entries: list[str]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, entries)


@given(st.lists(HOSTS, min_size=1, max_size=3), HOSTS)
async def test_no_host_comes_in_that_django_refuses(entries: list[str], host: str) -> None:
    from django.test import override_settings

    # A name with an underscore, and an entry with a port, which Django never matches, have always
    # been allowed here. `*` allows any text.
    if "*" in entries or "_" in host or any(split_domain_port(entry)[1] for entry in entries):
        return
    with override_settings(ALLOWED_HOSTS=entries):
        if await Handshake()(("origin", f"http://{host}")):
            plain = host.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
            assert django_allows(plain, entries), (entries, host)


@pytest.mark.parametrize("host", ["[::1]example.com", "[::1]8000", "[::1].", "[::1]]"])
async def test_nothing_but_a_port_follows_an_address(settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["[::1]"]
    assert await Handshake()(("origin", "http://[::1]:8000"))
    assert not await Handshake()(("origin", f"http://{host}"))


@pytest.mark.parametrize(
    "entry", ["localhost.", "localhost:", "localhost\xa0", " localhost", "@localhost"]
)
async def test_an_entry_is_compared_as_it_is(settings: Any, entry: str) -> None:
    settings.ALLOWED_HOSTS = [entry]
    for host in ("localhost", "localhost.", "localhost:8000", "localhost:", "localhost\xa0"):
        assert not await Handshake()(("origin", f"http://{host}")), host
        assert not django_allows(host, [entry]), host


@pytest.mark.parametrize("host", ["localhost:", "localhost\xa0", "localhost..", ".localhost"])
async def test_a_host_that_django_refuses_is_refused(settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    assert not await Handshake()(("origin", f"http://{host}"))
    assert not django_allows(host, settings.ALLOWED_HOSTS)


async def test_a_period_after_the_domain_is_accepted_as_by_django(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    assert await Handshake()(("origin", "http://localhost.:8000"))
    assert django_allows("localhost.:8000", ["localhost"])


class TestSameOrigin:
    """The option by which a page must be of the very site."""

    @pytest.mark.parametrize("entries", [["*"], ["example.com", ".example.org"]])
    @pytest.mark.parametrize(
        ("scheme", "host", "origin", "expected"),
        [
            ("ws", "example.com", "http://example.com", True),
            ("ws", "example.com", "http://EXAMPLE.com:80", True),
            ("ws", "example.com:8000", "http://example.com:8000", True),
            ("wss", "example.com", "https://example.com", True),
            ("https", "example.com:443", "https://example.com", True),
            ("ws", "example.com", "https://example.com", False),
            ("wss", "example.com", "http://example.com", False),
            ("ws", "example.com", "http://example.com:8000", False),
            ("ws", "example.com:8000", "http://example.com", False),
            ("ws", "example.com", "http://www.example.org", False),
            ("ws", "example.com", "ws://example.com", False),
            ("ws", "example.com", "null", False),
            ("ws", "example.com:", "http://example.com", False),
            ("ws", "example.com, example.com", "http://example.com", False),
        ],
    )
    async def test_scheme_host_and_port_are_those_of_the_handshake(
        self,
        settings: Any,
        entries: list[str],
        scheme: str,
        host: str,
        origin: str,
        expected: bool,
    ) -> None:
        settings.ALLOWED_HOSTS = entries
        ask = Handshake(same_origin=True)
        assert await ask(("host", host), ("origin", origin), scheme=scheme) is expected

    async def test_it_admits_no_host_that_the_settings_do_not(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["example.com"]
        evil = ("host", "evil.example"), ("origin", "http://evil.example")
        assert not await Handshake(same_origin=True)(*evil)

    @pytest.mark.parametrize("entries", [["*"], ["example.com"]])
    async def test_a_client_without_an_origin_is_refused(
        self, settings: Any, entries: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.ALLOWED_HOSTS = entries
        assert not await Handshake(same_origin=True)(("host", "example.com"))
        [record] = caplog.records
        assert "it has no Origin header" in record.getMessage()

    async def test_the_log_tells_that_it_is_another_site(
        self, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        headers = ("host", "example.com"), ("origin", "http://evil.example")
        assert not await Handshake(same_origin=True)(*headers)
        [record] = caplog.records
        assert record.getMessage() == (
            "A handshake for '/' was refused: its origin 'http://evil.example' is not that of its "
            "own host"
        )

    async def test_a_proxy_counts_as_the_settings_say(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["example.com"]
        ask = Handshake(same_origin=True)
        origin = ("origin", "https://example.com")
        proxied = ("host", "127.0.0.1:8000"), ("x-forwarded-host", "example.com")
        tls = ("x-forwarded-proto", "https")
        assert not await ask(origin, ("host", "example.com"), tls)
        assert not await ask(origin, *proxied, tls)
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert await ask(origin, ("host", "example.com"), tls)
        assert not await ask(origin, *proxied, tls)
        # The proxy says that it is plain, whatever the server thinks.
        plain = ("x-forwarded-proto", "http")
        assert not await ask(origin, ("host", "example.com"), plain, scheme="wss")
        settings.USE_X_FORWARDED_HOST = True
        assert await ask(origin, *proxied, tls)

    async def test_a_body_is_not_parsed(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["example.com"]
        kind = ("Content-Type", "text/plain; charset=nonsense")
        headers = ("host", "example.com"), ("origin", "http://example.com"), kind
        assert await Handshake(same_origin=True)(*headers)

    @given(HOSTS, HOSTS, st.sampled_from(["ws", "wss"]))
    async def test_it_accepts_what_djangos_csrf_protection_accepts(
        self, host: str, origin: str, scheme: str
    ) -> None:
        from django.test import override_settings

        page = "https" if scheme == "wss" else "http"
        headers = ("host", host), ("origin", f"{page}://{origin}")
        with override_settings(ALLOWED_HOSTS=["*"]):
            if await Handshake(same_origin=True)(*headers, scheme=scheme):
                request = HttpRequest()
                request.META["HTTP_HOST"] = host
                assert request.get_host() == host

    async def test_a_subclass_need_not_know_of_it(self) -> None:
        class Own(OriginValidator):
            def __init__(self, application: Any) -> None:
                self.application = application
                self.allowed_origins = ["*"]

        validator: Any = Own(inner)
        assert await validator({"type": "websocket", "headers": []}, None, None) == "let in"
