"""Hostile frames on real servers."""

import json
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacked import Attacked
from raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    deflated,
    frame,
)

Record = Callable[[str, object], None]

KIBIBYTE = 1024
#: Codes with which a frame that cannot be read ends a connection; Daphne adds 3000 to ours.
REFUSED = {1002, 1003, 1007, 1009, 4003, 4007, 4009, None}
#: No consumer of ours has failed.
NOT_FAILED = REFUSED | {1000, 1005}

#: Texts that are no JSON, or that some decoder cannot bear.
NO_JSON: list[bytes] = [
    b"",
    b" ",
    b"{",
    b"nul",
    b"'a'",
    b"{'a': 1}",
    b"[1,]",
    b'{"a": 1,}',
    b"NaN",
    b"[Infinity, -Infinity]",
    b"0x10",
    b"01",
    b"1e",
    b'"\x00"',
    b'"\n"',
    b'"\\ud83',
    b"\xef\xbb\xbf{}",
    b"[" * 60_000,
    b"[" * 30_000 + b"]" * 30_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b"9" * 60_000,
    b"-" + b"9" * 60_000,
    b"[" + b"9" * 5000 + b"]",
    b"{}{}",
    b"\xe2\x80\xa8",
    b"/* */ {}",
]

#: Texts that are JSON, however odd; each is sent back.
JSON: list[bytes] = [
    b"null",
    b"0",
    b"-0.0",
    b"1e308",
    b"9" * 4000,
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'{"": 0, "__proto__": {}, "type": "websocket.disconnect"}',
    b'{"type": "websocket.close", "code": 4000}',
    b'{"a": 1, "a": 2}',
    b'{"text": "x", "bytes": null, "close": true}',
    b"[" * 400 + b"]" * 400,
    b"[" + b"{}," * 20_000 + b"{}]",
    b'"' + b"\\u0000" * 10_000 + b'"',
    b" " * 60_000 + b"1",
]


@pytest.mark.parametrize("path", ["/echo/", "/sync/"])
class TestJson:
    def test_no_json_ends_this_connection_only(
        self, site: Attacked, path: str, record_property: Record
    ) -> None:
        record_property("inputs", len(NO_JSON))
        for text in NO_JSON:
            with site.websocket(path) as client:
                client.send(frame(TEXT, text))
                assert client.close_code() in REFUSED, text[:40]

    def test_odd_json_is_json(self, site: Attacked, path: str, record_property: Record) -> None:
        record_property("inputs", len(JSON))
        with site.websocket(path) as client:
            for text in JSON:
                client.send(frame(TEXT, text))
                answer = client.text()
                assert answer is not None, text[:40]
                assert json.loads(answer) == json.loads(text)


#: What some clients send against the protocol, and all of it in one connection.
AGAINST_THE_PROTOCOL: list[bytes] = [
    frame(TEXT, b"1", mask=None),
    frame(TEXT, b"1", reserved=1),
    frame(TEXT, b"1", reserved=2),
    frame(TEXT, b"1", reserved=4),
    *(frame(opcode, b"1") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    frame(CONTINUATION, b"1"),
    frame(CONTINUATION, b"1", fin=False),
    frame(TEXT, b"1", fin=False) + frame(TEXT, b"2"),
    frame(TEXT, b"1", fin=False) + frame(BINARY, b"2", fin=False),
    frame(PING, b"1", fin=False),
    frame(PING, b"1" * 126),
    frame(PONG, b"1" * 126),
    frame(CLOSE, b"1"),
    frame(CLOSE, b"\x03\xe8" + b"1" * 124),
    frame(CLOSE, b"\x03\xe8\xff\xfe"),
    *(frame(CLOSE, code.to_bytes(2, "big")) for code in (0, 1, 999, 1004, 1005, 1006, 1015, 2999)),
    *(frame(CLOSE, code.to_bytes(2, "big")) for code in (5000, 65535)),
    frame(TEXT, b"1", length=2**63),
    frame(TEXT, b"1", length=2**64 - 1),
    frame(TEXT, b"1", length=2**40),
    b"\x81\xfe\x00\x01mask1",
    b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01mask1",
    frame(TEXT, b"\xff\xfe"),
    frame(TEXT, b"\xed\xa0\x80"),
    frame(TEXT, b"\xf4\x90\x80\x80"),
    frame(TEXT, b"\xc0\x80"),
    frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\x28"),
    frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b""),
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00" * 100,
    b"\xff" * 100,
]


def test_frames_against_the_protocol(site: Attacked, record_property: Record) -> None:
    record_property("inputs", len(AGAINST_THE_PROTOCOL))
    for data in AGAINST_THE_PROTOCOL:
        with site.websocket("/sizes/") as client:
            client.send(data)
            client.finish()
            assert client.close_code() in NOT_FAILED | {1011}, data[:40]


def test_frames_after_the_close_are_ignored(site: Attacked) -> None:
    with site.websocket("/echo/") as client:
        client.send(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b'"after"') * 50)
        assert client.frame() in {(CLOSE, b"\x03\xe8"), None}
        client.finish()
        assert client.rest() == b""


class TestSizes:
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_message_above_the_limit(self, site: Attacked, opcode: int) -> None:
        with site.websocket("/sizes/") as client:
            client.send(frame(opcode, b"a" * 64 * KIBIBYTE))
            assert client.text() == str(64 * KIBIBYTE)
            client.send(frame(opcode, b"a" * (64 * KIBIBYTE + 1)))
            assert client.close_code() in {1009, 4009}

    def test_a_message_in_fragments_above_the_limit(self, site: Attacked) -> None:
        with site.websocket("/sizes/") as client:
            part = frame(CONTINUATION, b"a" * 16 * KIBIBYTE, fin=False)
            client.send(frame(TEXT, b"", fin=False) + part * 5 + frame(CONTINUATION))
            assert client.close_code() in {1009, 4009}

    def test_a_message_in_fragments_of_a_byte_and_of_none(self, site: Attacked) -> None:
        with site.websocket("/sizes/") as client:
            one = frame(CONTINUATION, b"a", fin=False)
            none = frame(CONTINUATION, b"", fin=False)
            client.send(frame(TEXT, b"", fin=False) + (one + none) * 5000 + frame(CONTINUATION))
            assert client.text() == "5000"

    def test_control_frames_between_fragments(self, site: Attacked) -> None:
        with site.websocket("/sizes/") as client:
            between = frame(CONTINUATION, b"a", fin=False) + frame(PONG, b"?")
            client.send(frame(TEXT, b"", fin=False) + between * 1000)
            client.send(frame(PING, b"!") + frame(CONTINUATION))
            assert [client.frame(), client.text()] == [(PONG, b"!"), "1000"]

    def test_a_message_that_inflates_above_the_limit(self, site: Attacked) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        with site.websocket("/sizes/", offer) as client:
            bomb = deflated(b"{}," * 330_000)
            assert len(bomb) < 2000
            client.send(frame(TEXT, bomb, reserved=4))
            # A server that does not compress takes the bit for an error, and may just leave.
            assert client.close_code() in {1009, 4009, 1002, None}

    def test_what_cannot_be_inflated(self, site: Attacked) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate"
        for data in (b"\xff" * 50, b"", deflated(b"a" * 100)[:-3], b"\x00" * 50):
            with site.websocket("/sizes/", offer) as client:
                client.send(frame(TEXT, data, reserved=4))
                client.finish()
                assert client.close_code() in NOT_FAILED | {1011}, data


def mutations(rng: random.Random, data: bytes) -> Iterator[bytes]:
    for _ in range(100):
        at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        yield data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def test_frames_with_a_changed_bit(site: Attacked, record_property: Record) -> None:
    record_property("inputs", 100)
    data = b"".join(
        (frame(TEXT, b'{"a": [1]}'), frame(PING, b"a"), frame(TEXT, b'"', fin=False))
    ) + frame(CONTINUATION, b'a"')
    for changed in mutations(random.Random(13), data):
        with site.websocket("/echo/") as client:
            client.send(changed)
            client.finish()
            assert client.close_code() in NOT_FAILED | {1001, 1006}, changed


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 255))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_after_the_handshake(site: Attacked, parts: list[bytes], first: int) -> None:
    with site.websocket("/echo/") as client:
        client.send(bytes([first]) + b"".join(parts))
        client.finish()
        client.rest()


def test_many_frames_of_one_client_are_answered_in_order(site: Attacked) -> None:
    with site.websocket("/echo/") as client:
        client.send(b"".join(frame(TEXT, b"%d" % number) for number in range(5000)))
        # The bystander is served in the meantime.
        site.bystander.send(frame(TEXT, b'"meanwhile"'))
        assert site.bystander.text() == '"meanwhile"'
        assert [client.text() for _ in range(5000)] == [str(number) for number in range(5000)]


def test_many_pings_of_one_client_are_answered(site: Attacked) -> None:
    with site.websocket("/echo/") as client:
        client.send(frame(PING, b"a" * 125) * 5000)
        site.bystander.send(frame(TEXT, b'"meanwhile"'))
        assert site.bystander.text() == '"meanwhile"'
        assert all(client.frame() == (PONG, b"a" * 125) for _ in range(5000))
