"""Malformed requests and handshakes over HTTP/2."""

import json
from collections.abc import Callable

from attacked import Attacked
from http2_client import Http2Client
from raw_client import TEXT, frame

Record = Callable[[str, object], None]
Line = tuple[str | bytes, str | bytes]

#: More headers of a handshake.
LINES: list[Line] = [
    ("x-long", "a" * 20_000),
    ("X-Upper", "a"),
    ("x\r\ny", "a"),
    ("x-injected", "a\r\nx-other: b"),
    ("x-nul", "a\x00b"),
    ("x-escape", "\x1b[31m"),
    ("x-bytes", b"\x80\xff"),
    ("", "a"),
    ("x-space ", "a"),
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("transfer-encoding", "chunked"),
    ("content-length", "5"),
    ("content-length", "-1"),
    ("te", "gzip"),
    ("host", "evil.example"),
    ("origin", "http://evil.example"),
    (":path", "/private/"),
    (":authority", "evil.example"),
    (":scheme", "javascript"),
    (":protocol", "evil"),
    (":unknown", "a"),
    ("sec-websocket-version", "12"),
    ("sec-websocket-key", "a"),
    ("sec-websocket-protocol", "v1, " * 3000),
    ("sec-websocket-extensions", ';;;=,,,"'),
    ("cookie", "sessionid=a; " * 1000),
]


def test_a_handshake_with_hostile_headers(http2: Attacked, record_property: Record) -> None:
    record_property("inputs", len(LINES))
    for line in LINES:
        with Http2Client(http2.port) as client:
            stream = client.websocket("/echo/", [line])
            if client.answer(stream) == 200:
                client.write(stream, frame(TEXT, b'"one"'))
                # Or the stream is reset, where the header contradicts the frame.
                assert client.received(stream, 7)[:1] in (b"\x81", b""), line


def test_a_handshake_without_one_of_its_headers(http2: Attacked, record_property: Record) -> None:
    whole: list[Line] = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", http2.host),
        (":path", "/echo/"),
        ("sec-websocket-version", "13"),
        ("origin", http2.origin),
    ]
    record_property("inputs", len(whole))
    for line in whole:
        with Http2Client(http2.port) as client:
            stream = client.send([one for one in whole if one != line], ends=False)
            client.write(stream, b"", ends=True)
            status = client.answer(stream)
            # The scheme is not needed to find the application.
            assert status != 200 or line[0] == ":scheme", line


def test_cookies_in_many_lines(http2: Attacked) -> None:
    """HTTP/2 may split them (RFC 9113, section 8.2.3)."""
    name, _, key = http2.session().partition("=")
    crumbs: list[Line] = [("cookie", f"a{number}=b") for number in range(200)]
    with Http2Client(http2.port) as client:
        stream = client.websocket(
            "/parsed/", [*crumbs, ("cookie", f"{name}={key}"), ("cookie", ";")]
        )
        assert client.answer(stream) == 200
        size = 2**16
        client.write(stream, frame(8, b"\x03\xe8"), ends=True)
        told = client.received(stream, size)
        start = told.index(b"{")
        found, _ = json.JSONDecoder().raw_decode(told[start:].decode("latin-1"))
        assert found["user"] == "anna"
        assert len(found["cookies"]) == 201


def test_a_stranger_is_refused_as_over_http1(http2: Attacked) -> None:
    with Http2Client(http2.port) as client:
        assert client.answer(client.websocket("/echo/", origin="http://evil.example")) == 403
        assert client.answer(client.websocket("/private/")) == 401
        assert client.answer(client.websocket("/token/?token=evil")) == 401
        assert client.answer(client.websocket("/nowhere/")) == 404
        stream = client.request("/private/")
        assert client.answer(stream) == 302
        # The streams beside are still served.
        stream = client.websocket("/echo/")
        assert client.answer(stream) == 200
