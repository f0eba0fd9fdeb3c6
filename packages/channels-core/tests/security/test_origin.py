from typing import Any
from urllib.parse import urlparse

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from channels_core.security._origin import (
    Origin,
    OriginPattern,
    matches,
    parse_pattern,
    port_of,
    read_header,
    read_origin,
)


def header(value: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"example.com"), (b"origin", value)]


class TestReadHeader:
    def test_an_origin_is_parsed(self) -> None:
        parsed = read_header(header(b"https://Example.com:8443"))
        assert parsed is not None
        assert (parsed.scheme, parsed.hostname, parsed.port) == ("https", "example.com", 8443)

    def test_a_missing_one_is_none(self) -> None:
        assert read_header([(b"host", b"example.com")]) is None
        assert read_header([]) is None

    @pytest.mark.parametrize("value", [b"", b"null", b"file://", b"app", b"http://a/b?c#d"])
    def test_it_need_not_have_a_host(self, value: bytes) -> None:
        parsed = read_header(header(value))
        assert parsed is not None
        assert parsed.port is None

    @pytest.mark.parametrize(
        ("value", "fault"),
        [
            (b"http://localhost:99999", "cannot be read"),
            (b"http://localhost:x", "cannot be read"),
            (b"http://localhost:-1", "cannot be read"),
            (b"http://[", "cannot be read"),
            (b"http://[::1", "cannot be read"),
            (b"http://a\r\nb", "do not belong"),
            (b"http://a\0", "do not belong"),
            (b"http://a\x7f", "do not belong"),
            (b"http://a b", "do not belong"),
            (b" http://a", "do not belong"),
            ("http://é".encode(), "do not belong"),
            (b"http://\xff", "do not belong"),
            (b"http://" + b"a" * 2042, "2049 bytes"),
        ],
    )
    def test_what_no_browser_sends_is_refused(self, value: bytes, fault: str) -> None:
        with pytest.raises(ValueError, match=fault) as raised:
            read_header(header(value))
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 300

    def test_the_longest_one_is_read(self) -> None:
        assert read_header(header(b"http://" + b"a" * 2041)) is not None

    def test_a_repeated_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="2 Origin headers"):
            read_header([*header(b"http://a"), (b"origin", b"http://a")])

    @given(st.lists(st.one_of(st.binary(max_size=40), st.text("/:[]@#.a0 é\n").map(str.encode))))
    def test_it_raises_nothing_but_its_error(self, values: list[bytes]) -> None:
        try:
            parsed = read_header([(b"origin", value) for value in values])
        except ValueError as error:
            fault = str(error)
        else:
            fault = ""
            assert (parsed is None) == (not values)
        assert fault.isprintable()


class TestReadOrigin:
    @pytest.mark.parametrize(
        ("text", "origin"),
        [
            ("http://example.com", ("http", "example.com", 80)),
            ("HTTPS://EXAMPLE.com", ("https", "example.com", 443)),
            ("ws://a:8000", ("ws", "a", 8000)),
            ("wss://a", ("wss", "a", 443)),
            ("http://a.", ("http", "a", 80)),
            ("http://a/", ("http", "a", 80)),
            ("http://[::1]:8000", ("http", "::1", 8000)),
            ("http://a_b-c.d", ("http", "a_b-c.d", 80)),
            ("chrome-extension://abc", ("chrome-extension", "abc", None)),
        ],
    )
    def test_it_has_what_is_compared(self, text: str, origin: Origin) -> None:
        assert read_origin(urlparse(text)) == origin

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "example.com",
            "file://",
            "http://",
            "http://.",
            "http://a..b",
            "http://.a",
            "http://a:99999",
            "http://evil.example\\.example.com",
            "http://é",
            "http://a%2eb",
            "http://a b",
            "http://good.example@evil.example",
            "http://evil.example[::1]",
        ],
    )
    def test_what_can_match_nothing_is_none(self, text: str) -> None:
        assert read_origin(urlparse(text)) is None

    @given(st.text("htp:/[]@#?.aA0-_%é\\ "))
    def test_it_never_raises(self, text: str) -> None:
        try:
            parsed = urlparse("http://" + text)
        except ValueError:
            return
        origin = read_origin(parsed)
        assert origin is None or origin[1] == origin[1].lower() != ""


def test_the_port_is_the_schemes_if_there_is_none() -> None:
    ports = {
        "http://a": 80,
        "WS://a": 80,
        "https://a": 443,
        "wss://a": 443,
        "ftp://a": None,
        "http://a:1": 1,
        "http://a:0": 0,
        "http://a:": 80,
        "http://a:99999": None,
        "a": None,
    }
    assert {text: port_of(urlparse(text)) for text in ports} == ports


class TestPattern:
    @pytest.mark.parametrize(
        ("text", "pattern"),
        [
            ("example.com", (None, "example.com", None)),
            (" Example.COM. ", (None, "example.com", None)),
            (".example.com", (None, ".example.com", None)),
            ("localhost:8000", (None, "localhost", 8000)),
            ("127.0.0.1", (None, "127.0.0.1", None)),
            ("[::1]", (None, "::1", None)),
            ("[::1]:8000", (None, "::1", 8000)),
            ("::1", (None, "::1", None)),
            ("https://example.com", ("https", "example.com", 443)),
            ("WSS://example.com:8443/", ("wss", "example.com", 8443)),
            ("http://.example.com", ("http", ".example.com", 80)),
            ("http://[::1]", ("http", "::1", 80)),
            ("chrome-extension://abc", ("chrome-extension", "abc", None)),
        ],
    )
    def test_it_is_parsed(self, text: str, pattern: OriginPattern) -> None:
        assert parse_pattern(text) == pattern

    @pytest.mark.parametrize("text", ["", " ", "*", " * "])
    def test_what_is_no_question_of_domains_is_none(self, text: str) -> None:
        assert parse_pattern(text) is None

    @pytest.mark.parametrize(
        ("text", "advice"),
        [
            ("*.example.com", "'.example.com'"),
            ("https://*.example.com:8443", "'https://.example.com:8443'"),
            ("*example.com", "'.example.com'"),
            ("www.*.com", "'.example.com'"),
            ("*.*.com", "'.example.com'"),
            ("http://*", "'.example.com'"),
            ("**", "'.example.com'"),
        ],
    )
    def test_a_wildcard_inside_is_refused_with_advice(self, text: str, advice: str) -> None:
        with pytest.raises(ImproperlyConfigured) as raised:
            parse_pattern(text)
        assert str(raised.value).startswith(f"{text!r} is not a pattern")
        assert str(raised.value).endswith(f"write {advice}")

    @pytest.mark.parametrize(
        "text",
        [
            "http://",
            "//example.com",
            "://example.com",
            "ht tp://example.com",
            "http://example.com:99999",
            "http://[",
            "a b",
            "é.example",
            "a..b",
            "..example.com",
            "http:example.com",
            "[::1]example.com",
        ],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="not a pattern for origins: expected"):
            parse_pattern(text)

    @given(st.text(st.sampled_from("htp:/[]*.aA0- é@?#\n"), max_size=20))
    def test_it_raises_nothing_but_its_error(self, text: str) -> None:
        try:
            pattern = parse_pattern(text)
        except ImproperlyConfigured:
            return
        assert pattern is None or pattern[1].strip(".")


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        (
            "example.com",
            ["http://example.com", "https://EXAMPLE.com:8443", "app://example.com"],
            ["http://www.example.com", "http://example.com.evil", "http://notexample.com"],
        ),
        (
            ".example.com",
            ["http://example.com", "https://a.b.example.com:1"],
            ["http://notexample.com", "http://example.com.evil", "http://com"],
        ),
        (
            "https://example.com",
            ["https://example.com", "https://example.com:443", "HTTPS://example.com."],
            ["http://example.com", "https://example.com:444", "http://example.com:443"],
        ),
        (
            "http://.example.com:8000",
            ["http://example.com:8000", "http://a.example.com:8000"],
            ["http://example.com", "https://example.com:8000"],
        ),
        ("localhost:80", ["http://localhost", "ws://localhost"], ["https://localhost"]),
        ("app://a", ["app://a"], ["app://a:1", "app://b"]),
    ],
)
def test_a_pattern_allows_what_it_says(
    pattern: str, allowed: list[str], refused: list[str]
) -> None:
    parsed: Any = parse_pattern(pattern)
    for text in allowed + refused:
        origin: Any = read_origin(urlparse(text))
        assert matches(origin, parsed) == (text in allowed), text


HOSTS = st.lists(st.sampled_from(["a", "b", "ab", "com"]), min_size=1, max_size=4).map(".".join)
PORTS = st.sampled_from([None, 80, 443, 8000])
SCHEMES = st.sampled_from(["http", "https", "ws", "wss", "app"])


@given(HOSTS, PORTS, SCHEMES, HOSTS, PORTS, st.one_of(st.none(), SCHEMES), st.booleans())
def test_a_pattern_allows_no_more_and_no_less(
    host: str,
    port: int | None,
    scheme: str,
    allowed_host: str,
    allowed_port: int | None,
    allowed_scheme: str | None,
    subdomains: bool,
) -> None:
    def after(number: int | None) -> str:
        return "" if number is None else f":{number}"

    before = "" if allowed_scheme is None else f"{allowed_scheme}://"
    text = f"{before}{'.' if subdomains else ''}{allowed_host}{after(allowed_port)}"
    pattern: Any = parse_pattern(text)
    origin: Any = read_origin(urlparse(f"{scheme}://{host}{after(port)}"))

    labels, allowed_labels = host.split("."), allowed_host.split(".")
    same = labels == allowed_labels or (
        subdomains and labels[-len(allowed_labels) :] == allowed_labels
    )
    default = {"http": 80, "ws": 80, "https": 443, "wss": 443}
    actual = port or default.get(scheme)
    wanted = allowed_port or default.get(allowed_scheme or "")
    if allowed_scheme is None:
        same = same and allowed_port in (None, actual)
    else:
        same = same and (scheme, actual) == (allowed_scheme, wanted)
    assert matches(origin, pattern) == same
