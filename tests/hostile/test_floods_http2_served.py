"""Floods over HTTP/2, whose streams cost a client less than connections.

No client here sends a frame before its handshake is answered: Hypercorn 0.18 then answers with 400
and never tells the application that the client has left, so that the connection stays.

If a client leaves while the application closes its WebSocket, Hypercorn's `send` of that close may
never return. The connection then ends ten seconds later, for which the check waits.
"""

import random
from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes

from attacked import Attacked
from http2_client import Http2Client
from raw_client import BINARY, CLOSE, PING, TEXT, frame

Record = Callable[[str, object], None]


def still_serves(http2: Attacked) -> None:
    """Check that the bystander and a new client are served during the flood."""
    http2.bystander.send(frame(TEXT, b'"meanwhile"'))
    assert http2.bystander.text() == '"meanwhile"'
    with Http2Client(http2.port) as client:
        stream = client.websocket("/echo/")
        assert client.answer(stream) == 200
        client.write(stream, frame(TEXT, b"1"))
        assert client.received(stream, 3) == b"\x81\x011"


@pytest.mark.parametrize("path", ["/echo/", "/sync/", "/nowhere/", "/private/", "/pour/"])
def test_streams_that_are_reset_at_once(
    http2: Attacked, path: str, record_property: Record
) -> None:
    """The attack of CVE-2023-44487."""
    record_property("inputs", 200)
    with Http2Client(http2.port) as client:
        for number in range(200):
            stream = client.websocket(path)
            if number % 4 == 0 and client.answer(stream) == 200:
                client.write(stream, frame(TEXT, b"8"))
            client.http.reset_stream(stream, ErrorCodes.CANCEL)
            client.flush()
        still_serves(http2)


def test_websockets_whose_connection_is_cut(http2: Attacked, record_property: Record) -> None:
    record_property("inputs", 50)
    with Http2Client(http2.port) as client:
        streams = [client.websocket("/echo/") for _ in range(50)]
        assert {client.answer(stream) for stream in streams} == {200}
        for stream in streams:
            client.write(stream, frame(TEXT, b"1"))
        still_serves(http2)


def test_a_window_that_is_never_opened(http2: Attacked) -> None:
    with Http2Client(http2.port) as client:
        stream = client.websocket("/pour/")
        assert client.answer(stream) == 200
        # Half a mebibyte for a window of 64 KiB; the client reads no byte of it.
        client.write(stream, frame(TEXT, b"8"))
        still_serves(http2)


def test_control_frames(http2: Attacked, record_property: Record) -> None:
    record_property("inputs", 3000)
    with Http2Client(http2.port) as client:
        for number in range(1000):
            client.http.ping(number.to_bytes(8, "big"))
            client.http.update_settings({3: number})
            client.http.prioritize(2 * number + 1, weight=1 + number % 256)
        client.flush()
        still_serves(http2)


def test_headers_without_an_end(http2: Attacked) -> None:
    with Http2Client(http2.port) as client:
        # HEADERS without END_HEADERS, and then CONTINUATION for ever.
        client.raw(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82")
        client.raw(b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + b"\x82" * 2**14)
        for _ in range(30):
            client.raw(b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + b"\x82" * 2**14)
        still_serves(http2)


def test_random_frames(http2: Attacked, record_property: Record) -> None:
    rng = random.Random(13)
    record_property("inputs", 100)
    for _ in range(100):
        with Http2Client(http2.port) as client:
            stream = client.websocket(rng.choice(["/echo/", "/sync/", "/sizes/", "/first/"]))
            assert client.answer(stream) == 200
            opcode = rng.choice([TEXT, BINARY, PING, CLOSE, 0, 3])
            client.write(stream, frame(opcode, rng.randbytes(rng.randrange(20))))
            action = rng.randrange(4)
            if action == 0:
                client.raw(rng.randbytes(20))
            elif action == 1:
                client.write(stream, b"", ends=True)
    still_serves(http2)


def test_a_client_that_speaks_no_http2_after_all(http2: Attacked) -> None:
    with Http2Client(http2.port) as client:
        client.raw(b"GET / HTTP/1.1\r\n\r\n")
        still_serves(http2)
