"""Malformed and smuggled heads of requests on real servers."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacked import Attacked
from raw_client import TEXT, frame, upgrade

Record = Callable[[str, object], None]

#: Answers that refuse a request, besides a connection that is closed without one.
REFUSED = {None, 400, 403, 404, 405, 408, 411, 413, 414, 417, 426, 431, 501, 505}

#: Lines beside the usual ones of a handshake; each is refused, or has no effect.
LINES: list[str | bytes] = [
    "X-Long: " + "a" * 2**16,
    "X-Long: " + "a" * 15_000,
    "a" * 15_000 + ": x",
    *("\r\n".join(f"X-{number}: {number}" for number in range(many)) for many in (50, 2000)),
    "\r\n".join(["Accept: a"] * 200),
    "No colon",
    ": no name",
    "X-Folded: a\r\n b\r\n\tc",
    " X-Begins: with a space",
    "X-Space : before the colon",
    b"X-Nul: a\x00b",
    b"X\x00Nul: a",
    b"X-Bare: a\rX-Smuggled: b",
    b"X-Bare: a\nX-Smuggled: b",
    b"X-Escape: \x1b[31m\x07\x08\x7f",
    b"X-Bytes: \x80\xff\xfe",
    b"X-\xff\xfe: a",
    "X-É: é",
    "Host: evil.example",
    "Connection: close",
    "Connection: keep-alive, Upgrade, Upgrade",
    "Connection: X-Forwarded-For, Origin, Cookie",
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Upgrade: websocket, evil",
    "Sec-WebSocket-Version: 12",
    "Sec-WebSocket-Version: 99999999999999999999",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Key: " + "a" * 8000,
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
    "Sec-WebSocket-Extensions: " + "permessage-deflate; client_max_window_bits, " * 150 + "x",
    'Sec-WebSocket-Extensions: ;;;=,,,"',
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: 5, 6",
    "Content-Length: 99999999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity, chunked, chunked",
    "Transfer-Encoding: \x0bchunked",
    "Expect: 100-continue",
    "X-Forwarded-For: " + "1, " * 2000,
    "X-Forwarded-Proto: javascript",
    'Forwarded: for="_hidden, \\"',
    "Range: bytes=0-,-1,1-0",
    "Authorization: Bearer",
    "Trailer: Host",
    "TE: trailers, \x01",
]

#: The first lines of requests that are no handshake.
FIRST_LINES: list[str | bytes] = [
    "GET",
    "GET /",
    "GET /echo/ HTTP/0.9",
    "GET /echo/ HTTP/1.0",
    "GET /echo/ HTTP/9.9",
    "GET /echo/ HTTP/1.1 HTTP/1.1",
    "GET  /echo/  HTTP/1.1",
    "get /echo/ HTTP/1.1",
    "POST /echo/ HTTP/1.1",
    "CONNECT /echo/ HTTP/1.1",
    "CONNECT 127.0.0.1:80 HTTP/1.1",
    "PRI * HTTP/2.0",
    "OPTIONS * HTTP/1.1",
    "GET * HTTP/1.1",
    "GET echo/ HTTP/1.1",
    "GET http://evil.example/echo/ HTTP/1.1",
    "GET http:// HTTP/1.1",
    "GET //evil.example/echo/ HTTP/1.1",
    "GET /echo/#fragment HTTP/1.1",
    "GET /echo/?%ff%00%zz HTTP/1.1",
    "GET /%ff%fe%zz%0d%0a HTTP/1.1",
    "GET /é/ HTTP/1.1",
    b"GET /\xff\xfe/ HTTP/1.1",
    b"GET /\x00/ HTTP/1.1",
    b"GET /\x1b[31m/ HTTP/1.1",
    "GET /" + "a" * 2**16 + " HTTP/1.1",
    "GET /" + "a/" * 7000 + " HTTP/1.1",
    "GET /?" + "a=b&" * 3500 + " HTTP/1.1",
    "A" * 9000 + " / HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 100,
    b"\r\n\r\n",
    b"\xff\xfe\xfd",
]


def test_a_handshake_with_hostile_headers(site: Attacked, record_property: Record) -> None:
    record_property("inputs", len(LINES))
    for line in LINES:
        with site.client(upgrade(site.host, "/echo/", line)) as client:
            status = client.answered()
            assert status in REFUSED | {101}, line
            if status == 101:
                client.send(frame(TEXT, b'"an answer"'))
                # It may be compressed, so only its kind is read.
                found = client.frame()
                assert found is not None, line
                assert found[0] == TEXT, line


def test_a_handshake_without_one_of_its_headers(site: Attacked, record_property: Record) -> None:
    names = ("Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key")
    record_property("inputs", len(names))
    for name in names:
        assert site.handshake("/echo/", without=name) in REFUSED - {None}, name


def test_other_first_lines(site: Attacked, record_property: Record) -> None:
    record_property("inputs", len(FIRST_LINES))
    for first in FIRST_LINES:
        line = first if isinstance(first, bytes) else first.encode()
        headers = f"Host: {site.host}\r\nConnection: close\r\n\r\n"
        with site.client(line + b"\r\n" + headers.encode()) as client:
            assert client.answered() in REFUSED | {200}, first


SMUGGLED = "GET /state/?smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((f"Content-Length: {len(SMUGGLED)}",), SMUGGLED),
        (("Content-Length: 0",), SMUGGLED),
        (("Transfer-Encoding: chunked",), f"{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        (("Transfer-Encoding: chunked",), f"0\r\n\r\n{SMUGGLED}"),
        (("Transfer-Encoding: chunked", "Content-Length: 5"), f"0\r\n\r\n{SMUGGLED}"),
        ((), SMUGGLED),
    ],
    ids=["length", "empty", "chunked", "no-chunk", "both", "pipelined"],
)
def test_no_request_is_hidden_behind_a_handshake(
    site: Attacked, lines: tuple[str, ...], body: str
) -> None:
    with site.client(upgrade(site.host, "/echo/", *lines) + body.encode()) as client:
        assert client.answered() in REFUSED | {101}
        client.finish()
        client.rest()
    assert "mark smuggled" not in site.news()


def test_a_request_behind_a_refused_handshake_is_another_request(site: Attacked) -> None:
    with site.client(upgrade(site.host, "/nowhere/") + SMUGGLED.encode()) as client:
        assert client.status() in {403, 404}
        client.finish()
        client.rest()
    assert "mark smuggled" not in site.news()


@given(st.binary(max_size=200))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_as_a_head(site: Attacked, data: bytes) -> None:
    with site.client(data + b"\r\n\r\n") as client:
        assert client.answered(0.05) in REFUSED | {200}


@given(st.lists(st.binary(max_size=40), max_size=6))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_as_headers_of_a_handshake(site: Attacked, values: list[bytes]) -> None:
    lines = [b"X-Any: " + value for value in values]
    with site.client(upgrade(site.host, "/echo/", *lines)) as client:
        assert client.answered(0.05) in REFUSED | {101}
