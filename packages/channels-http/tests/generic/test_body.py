import asyncio
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig

from channels_core.exceptions import ConnectionStateError, RequestAborted, RequestTimeout
from clients import Client, ask, recording, until


class TestBodies:
    async def test_more_than_the_setting_allows_is_refused(
        self, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, str(len(body)).encode())

        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
        program = recording(handle)
        assert (await ask(program, b"0123456789"))[2] == b"10"
        for parts in ((b"0123456789a",), (b"01234", b"56789a")):
            status, _, _ = await ask(program, *parts, headers=[(b"content-length", b"1")])
            assert status == 413
        assert all(record.levelname == "WARNING" for record in caplog.records)
        assert len(program.ends) == 3

    @pytest.mark.parametrize(("limit", "status"), [(None, 200), (20, 200), (5, 413)])
    async def test_a_class_may_have_its_own(
        self, settings: Any, limit: int | None, status: int
    ) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"")

        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
        program = recording(handle, max_body_size=limit)
        assert (await ask(program, b"0123456789", b"a"))[0] == status

    async def test_one_that_is_too_slow_is_refused(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise NotImplementedError

        program = recording(handle, body_timeout=0)
        client = Client(program)
        client.request(b"a", more=True)
        assert (await client.whole())[0] == 408
        assert program.ends == ["end"]

    async def test_it_may_be_read_as_it_comes(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            assert body == b""
            parts = [part async for part in self.stream_body()]
            await self.send_response(200, b"|".join(parts))

        program = recording(handle, buffers_body=False, max_body_size=1)
        assert (await ask(program, b"abc", b"", b"d"))[2] == b"abc|d"

    async def test_no_faster_than_it_is_read(self) -> None:
        go = asyncio.Event()

        async def handle(self: Any, body: bytes) -> None:
            parts = self.stream_body()
            await anext(parts)
            await go.wait()
            await self.send_response(200, b"".join([part async for part in parts]))

        client = Client(recording(handle, buffers_body=False))
        client.request(b"a", b"b", b"c", b"d")
        await until(lambda: client.asked == 2, client.changed)
        for _ in range(20):
            await asyncio.sleep(0)
        # The first part, and the one that is read ahead.
        assert client.asked == 2
        go.set()
        assert (await client.whole())[2] == b"bcd"

    @pytest.mark.parametrize("caught", [False, True])
    async def test_a_client_that_leaves_halfway(self, caught: bool) -> None:
        errors: list[Exception] = []

        async def handle(self: Any, body: bytes) -> None:
            try:
                async for _ in self.stream_body():
                    client.leave()
            except RequestAborted as error:
                errors.append(error)
                if not caught:
                    raise

        program = recording(handle, buffers_body=False)
        client = Client(program)
        client.request(b"a", more=True)
        await client.end()
        assert client.sent == []
        assert program.ends == ["end"]

    async def test_limits_of_a_stream(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            async for _ in self.stream_body(limit=3):
                pass

        assert (await ask(recording(handle, buffers_body=False), b"ab", b"cd"))[0] == 413

    async def test_a_stream_that_stalls(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            async for _ in self.stream_body():
                pass

        client = Client(recording(handle, buffers_body=False, body_timeout=0))
        client.request(b"a", more=True)
        assert (await client.whole())[0] == 408

    async def test_a_program_may_answer_that_itself(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            try:
                async for _ in self.stream_body():
                    pass
            except RequestTimeout:
                await self.send_response(200, b"never mind")

        client = Client(recording(handle, buffers_body=False, body_timeout=0))
        client.request(b"a", more=True)
        assert (await client.whole())[2] == b"never mind"

    async def test_too_late_for_an_answer(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers()
            async for _ in self.stream_body(limit=1):
                pass

        client = Client(recording(handle, buffers_body=False))
        client.request(b"abc")
        with pytest.raises(RequestDataTooBig):
            await client.end()  # by which a server knows that it is to cut the response short
        assert len(client.sent) == 1

    async def test_one_part_may_be_too_much(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise NotImplementedError

        assert (await ask(recording(handle, max_body_size=3), b"abcd"))[0] == 413

    async def test_it_is_read_once(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            parts = [part async for part in self.stream_body()]
            with pytest.raises(ConnectionStateError, match="has been read already"):
                await anext(self.stream_body())
            await self.send_response(200, b"".join(parts))

        program = recording(handle, buffers_body=False)
        assert (await ask(program, b"ab", b"c"))[2] == b"abc"

    @pytest.mark.parametrize("parts", [[b"abc"], [b"a", b"bc"]])
    async def test_what_handle_got_is_not_read_again(self, parts: list[bytes]) -> None:
        async def handle(self: Any, body: bytes) -> None:
            with pytest.raises(ConnectionStateError, match="buffers_body=False"):
                await anext(self.stream_body())
            await self.send_response(200, body)

        assert (await ask(recording(handle), *parts))[2] == b"abc"

    async def test_a_loop_that_was_left_can_be_taken_up_again(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            first = await anext(self.stream_body())
            rest = [part async for part in self.stream_body()]
            await self.send_response(200, b"|".join([first, *rest]))

        program = recording(handle, buffers_body=False)
        assert (await ask(program, b"a", b"b", b"c"))[2] == b"a|b|c"


class TestAnnounced:
    """A server has nothing to tell before the first byte, and that may never come."""

    HEADERS = [
        [(b"host", b"a"), (b"content-length", b"5")],
        [(b"transfer-encoding", b"chunked"), (b"host", b"a")],
        [(b"Transfer-Encoding", b"chunked")],
    ]

    @pytest.mark.parametrize("headers", HEADERS)
    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_it_is_waited_for_so_long(self, method: str, headers: Any) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise NotImplementedError

        program = recording(handle, body_timeout=0.01)
        client = Client(program, method, headers=headers)
        assert (await client.whole())[0] == 408
        assert program.ends == ["end"]

    @pytest.mark.parametrize("headers", HEADERS)
    async def test_a_handler_that_reads_it_itself_is_called_at_once(self, headers: Any) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, b"at once")

        client = Client(recording(handle, buffers_body=False), "POST", headers=headers)
        assert (await client.whole())[2] == b"at once"

    async def test_none_is_announced_by_a_length_of_nothing(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, body)

        client = Client(recording(handle), "POST", headers=[(b"content-length", b"0")])
        client.request()
        assert (await client.whole())[0] == 200
        assert client.asked == 1


class TestExpect:
    """A client that waits to be asked for its body: what is read makes the server ask."""

    EXPECT = [(b"expect", b"100-Continue")]

    async def test_it_is_not_asked_for_a_body_that_is_not_wanted(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await asyncio.sleep(0)
            await self.send_response(403, b"no")

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST", headers=self.EXPECT)
        assert await client.whole() == (403, {}, b"no")
        assert client.asked == 0
        assert program.ends == ["end"]

    async def test_it_is_asked_once_the_body_is(self) -> None:
        asked = []

        async def handle(self: Any, body: bytes) -> None:
            asked.append(client.asked)
            parts = [part async for part in self.stream_body()]
            await self.send_response(200, b"".join(parts))

        client = Client(recording(handle, buffers_body=False), "POST", headers=self.EXPECT)
        await until(lambda: client.asked, client.changed)
        client.request(b"a", b"b")
        assert (await client.whole())[2] == b"ab"
        assert asked == [0]

    async def test_it_is_noticed_when_it_leaves_instead(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            async for _ in self.stream_body():
                raise NotImplementedError

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST", headers=self.EXPECT)
        client.leave()
        await client.end()
        assert (client.sent, program.ends) == ([], ["end"])

    async def test_it_is_noticed_when_it_leaves_a_response(self) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_headers(flush=True)
            await asyncio.Event().wait()

        program = recording(handle, buffers_body=False)
        client = Client(program, "POST", headers=self.EXPECT)
        await client.messages(2)
        client.leave()
        await client.end()
        assert program.ends == ["end"]

    @pytest.mark.parametrize("length", [b"4", b"9" * 5000])
    async def test_it_is_not_asked_for_more_than_the_limit(self, length: bytes) -> None:
        async def handle(self: Any, body: bytes) -> None:
            raise NotImplementedError

        program = recording(handle, max_body_size=3)
        headers = [*self.EXPECT, (b"content-length", length)]
        client = Client(program, "PUT", headers=headers)
        assert (await client.whole())[0] == 413
        assert client.asked == 0
        assert program.ends == ["end"]

    @pytest.mark.parametrize("limit", [3, None])
    @pytest.mark.parametrize("length", [b"3", b"", b"-1", b"x"])
    async def test_otherwise_it_is_asked(self, limit: int | None, length: bytes) -> None:
        async def handle(self: Any, body: bytes) -> None:
            await self.send_response(200, body)

        headers = [*self.EXPECT, (b"content-length", length)]
        program = recording(handle, max_body_size=limit)
        assert (await ask(program, b"abc", method="POST", headers=headers))[2] == b"abc"
