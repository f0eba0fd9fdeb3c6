import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_core.exceptions import ConnectionStateError
from clients import Client, ask, recording


class TestWholeResponses:
    async def test_one(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(201, b"<" + body + b">", headers=[(b"X-A", b"b")])

        program = recording(handle)
        status, headers, body = await ask(program, b"ab", b"", b"c")
        assert (status, headers, body) == (201, {b"X-A": b"b"}, b"<abc>")
        assert program.ends == ["end"]

    @pytest.mark.parametrize("headers", [{"X-A": "ä"}, [("X-A", "ä")], {b"X-A": b"\xe4"}])
    async def test_headers_may_be_written_in_any_way(self, headers: Any) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, "ä", headers=headers)

        assert await ask(recording(handle)) == (
            200,
            {b"X-A": b"\xe4"},
            "ä".encode(),
        )

    async def test_a_length_that_is_given_stays(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a", headers={"Content-Length": "1"})

        client = Client(recording(handle))
        client.request()
        await client.end()
        assert client.sent[0]["headers"] == [(b"Content-Length", b"1")]

    async def test_without_a_body_there_is_no_length(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(204, b"")

        assert await ask(recording(handle)) == (204, {}, b"")

    async def test_head_gets_what_get_would_without_the_body(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"abc")

        answer = await ask(recording(handle), method="HEAD")
        assert answer == (200, {}, b"")

    async def test_a_second_one_is_a_clear_error(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"a")
            await self.send_response(200, b"b")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(ConnectionStateError, match="A second response"):
            await client.end()
        assert len(client.sent) == 2

    @pytest.mark.parametrize(
        ("send", "error", "words"),
        [
            (lambda self: self.send_body(b"a"), ConnectionStateError, "before send_headers"),
            (lambda self: self.send_response(200, {"a": 1}), TypeError, "bytes or str, not dict"),
            (lambda self: self.send_response(200, 1), AssertionError, "bytes or str, not int"),
            (lambda self: self.send_response("200", b""), ValueError, "is an int from 200 to 999"),
            (lambda self: self.send_response(None, b""), ValueError, "is an int from 200 to 999"),
            (lambda self: self.send_response(99, b""), ValueError, "is an int from 200 to 999"),
            (lambda self: self.send_response(1000, b""), ValueError, "is an int from 200 to 999"),
            (
                lambda self: self.send_headers(headers={"a": "b\r\nc: d"}),
                ValueError,
                "must not contain CR",
            ),
        ],
    )
    async def test_what_cannot_be_sent_is_a_clear_error(
        self, send: Any, error: type[Exception], words: str
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await send(self)

        client = Client(recording(handle))
        client.request()
        with pytest.raises(error, match=words):
            await client.end()
        assert client.sent[0]["status"] == 500

    async def test_what_could_not_be_sent_may_be_sent_otherwise(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            with pytest.raises(TypeError):
                await self.send_response(200, None)
            with pytest.raises(ValueError, match="CR, LF or NUL"):
                await self.send_response(200, b"", headers={"a": "\n"})
            await self.send_response(201, b"a")

        assert await ask(recording(handle)) == (201, {}, b"a")

    @given(st.text() | st.binary())
    def test_a_body_is_text_or_bytes(self, sent: str | bytes) -> None:
        if isinstance(sent, str):
            sent = sent.encode(errors="replace").decode()

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, sent)

        expected = sent.encode() if isinstance(sent, str) else sent
        assert asyncio.run(ask(recording(handle))) == (200, {}, expected)

    @pytest.mark.parametrize("status", [204, 304])
    async def test_some_responses_have_no_body(self, status: int) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(status, b"abc", headers={"Content-Length": "3"})

        assert await ask(recording(handle)) == (status, {b"Content-Length": b"3"}, b"")

    async def test_how_the_body_is_framed_is_left_to_the_server(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(
                200, b"abc", headers={"Transfer-Encoding": "chunked", "A": "b"}
            )

        assert await ask(recording(handle)) == (200, {b"A": b"b"}, b"abc")

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
    async def test_a_bare_consumer_sends_all_as_given(self, method: str, status: int) -> None:
        """As tests drive it: what the program gives can be looked at."""

        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(status, b"abc", headers={"Transfer-Encoding": "chunked"})

        answer = await ask(recording(handle), method=method, bare=True)
        assert answer == (status, {b"Transfer-Encoding": b"chunked"}, b"abc")


class TestStreams:
    async def test_parts_go_out_as_they_come(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(headers={"Content-Type": "text/plain"})
            await self.send_body(b"a", more_body=True)
            await self.send_body(bytearray(b"b"), more_body=True)
            await self.send_body(memoryview(b"c"), more_body=True)
            await self.send_body("ä")

        answer = await ask(recording(handle))
        assert answer == (200, {b"Content-Type": b"text/plain"}, "abcä".encode())

    async def test_headers_go_out_at_once_when_asked(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(status=202, flush=True)
            await self.send_body(b"")

        client = Client(recording(handle))
        client.request()
        await client.end()
        assert [message.get("more_body") for message in client.sent] == [None, True, False]

    async def test_a_part_after_the_end_is_a_clear_error(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"a")
            await self.send_body(b"b")

        client = Client(recording(handle))
        client.request()
        with pytest.raises(ConnectionStateError, match="after the response had ended"):
            await client.end()
