"""HTTP requests on real servers: held, streamed, cut off, too large."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from served import ROOT, Served, environment

SITE = ROOT / "tests" / "programs" / "switchboard"
# A safety net, for a machine under load.
SECONDS = 120
MEBIBYTE = 2**20

SERVERS = {
    "uvicorn": (["-m", "uvicorn", "--port"], "Uvicorn running on "),
    "daphne": (["-m", "daphne", "-b", "127.0.0.1", "-p"], "Listening on TCP address "),
}


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    command, announces = SERVERS[request.param]

    def start(port: int) -> list[str]:
        return [sys.executable, *command, str(port), "switchboard.asgi:application"]

    env = environment(tmp_path_factory.mktemp("switchboard") / "db.sqlite3")
    with Served(request.param, start, env, announces, SITE) as served:
        yield served


class Connection:
    """A connection to the site that reads responses byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of a response; header names are in lower case."""
        async with asyncio.timeout(SECONDS):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").strip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}

    async def rest(self) -> bytes:
        """Return everything until the server closes the connection."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read()

    async def body(self) -> tuple[int, bytes]:
        """Return the status and the body of a response, which has a length or chunks."""
        status, headers = await self.head()
        async with asyncio.timeout(SECONDS):
            if "content-length" in headers:
                return status, await self.reader.readexactly(int(headers["content-length"]))
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return status, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def request(site: Served, path: str, method: str = "GET", *headers: str) -> Connection:
    """Send the head of a request."""
    async with asyncio.timeout(SECONDS):
        connection = Connection(*await asyncio.open_connection("127.0.0.1", site.port))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {site.host}", *headers]
    await connection.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    return connection


CLOSE = "Connection: close"


def told(site: Served, text: str) -> None:
    """Wait for a line of the site's output; it blocks this thread, which has nothing else to do."""
    site.wait_for(text)


class TestLongPolling:
    async def test_five_hundred_are_answered_by_one_message(self, site: Served) -> None:
        callers = [await request(site, "/calls/", "GET", CLOSE) for _ in range(500)]
        for caller in callers:
            # The headers have arrived, so the request is held and in its group.
            assert (await caller.head())[0] == 200
        ring = await request(site, "/ring/", "GET", CLOSE)
        assert (await ring.head())[0] == 200
        for caller in callers:
            assert await caller.rest() == b'7\r\n"hello"\r\n0\r\n\r\n'
            await caller.close()
        await ring.close()

    async def test_a_client_that_leaves_ends_its_handler(self, site: Served) -> None:
        held = await request(site, "/hold/")
        assert (await held.head())[0] == 200
        await held.close()
        told(site, "hold: cancelled")
        told(site, "hold: disconnect")


class TestWhatClientsSee:
    async def test_a_whole_response_has_no_length_of_ours(self, site: Served) -> None:
        connection = await request(site, "/whole/", "GET", CLOSE)
        status, headers = await connection.head()
        assert (status, headers["transfer-encoding"], headers["x-line"]) == (200, "chunked", "open")
        assert await connection.rest() == b"5\r\nwhole\r\n0\r\n\r\n"
        await connection.close()

    async def test_head_gets_the_same_headers(self, site: Served) -> None:
        connection = await request(site, "/whole/", "HEAD", CLOSE)
        status, headers = await connection.head()
        assert (status, headers["x-line"]) == (200, "open")
        assert await connection.rest() == b""
        await connection.close()

    async def test_a_stream_ends_with_an_empty_chunk(self, site: Served) -> None:
        connection = await request(site, "/parts/", "GET", CLOSE)
        status, headers = await connection.head()
        assert (status, headers["transfer-encoding"], headers["x-line"]) == (200, "chunked", "open")
        assert await connection.rest() == b"4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n"
        await connection.close()

    async def test_a_stream_that_was_cut_off_does_not(self, site: Served) -> None:
        connection = await request(site, "/cut/")
        assert (await connection.head())[0] == 200
        # The connection could be used for another request, but it is closed.
        assert await connection.rest() == b"4\r\none,\r\n"
        await connection.close()
        told(site, "switchboard.consumers.Cut failed")
        # The server still serves its other connections.
        told(site, "RuntimeError: the line is cut")
        told(site, "RuntimeError: the line is cut")

    async def test_a_failure_before_it_is_answered(self, site: Served) -> None:
        connection = await request(site, "/broken/", "GET", CLOSE)
        assert await connection.body() == (500, b"Server Error (500)")
        await connection.close()
        # The core logs it once, and so does each server.
        told(site, "RuntimeError: the line is broken")
        told(site, "RuntimeError: the line is broken")

    async def test_another_method(self, site: Served) -> None:
        connection = await request(site, "/whole/", "DELETE", CLOSE)
        status, headers = await connection.head()
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        await connection.close()


async def parts(size: int, count: int) -> AsyncIterator[bytes]:
    part = bytes(size)
    for _ in range(count):
        yield part


class TestBodies:
    @pytest.mark.parametrize("size", [100_000, 100_001])
    async def test_a_body_with_a_length(self, site: Served, size: int) -> None:
        length = f"Content-Length: {size}"
        connection = await request(site, "/letter/", "POST", CLOSE, length)
        await connection.send(bytes(size))
        status, body = await connection.body()
        assert (status, body) == ((200, b"100000") if size == 100_000 else (413, body))
        await connection.close()

    @pytest.mark.parametrize("count", [10, 11])
    async def test_a_body_without_a_length(self, site: Served, count: int) -> None:
        chunked = "Transfer-Encoding: chunked"
        connection = await request(site, "/letter/", "POST", CLOSE, chunked)
        async for part in parts(10_000, count):
            await connection.send(b"%x\r\n%b\r\n" % (len(part), part))
        await connection.send(b"0\r\n\r\n")
        status, body = await connection.body()
        assert (status, body) == ((200, b"100000") if count == 10 else (413, body))
        await connection.close()

    async def test_200_mebibytes_are_read_part_by_part(self, site: Served) -> None:
        async def upload(count: int) -> dict[str, int]:
            length = f"Content-Length: {count * MEBIBYTE}"
            connection = await request(site, "/parcel/", "POST", CLOSE, length)
            async for part in parts(MEBIBYTE, count):
                await connection.send(part)
            status, body = await connection.body()
            await connection.close()
            assert status == 200
            answer: dict[str, int] = json.loads(body)
            return answer

        small = await upload(1)
        large = await upload(200)
        assert large["bytes"] == 200 * MEBIBYTE
        print(site.server, "peaked at", large["peak"] // 1024, "MiB, before", small["peak"] // 1024)
        if site.server != "daphne":  # which itself puts all of a body into memory
            assert large["peak"] - small["peak"] < 20 * 1024

    async def test_an_unwanted_body_is_not_requested(self, site: Served) -> None:
        length = "Content-Length: 100000"
        expect = "Expect: 100-continue"
        connection = await request(site, "/closed/", "POST", length, expect)
        status, _ = await connection.head()
        if site.server == "daphne":  # which asks for it before it starts the application
            assert status == 100
        else:
            assert status == 403
        await connection.close()

    async def test_a_body_that_is_too_large_is_not_requested(self, site: Served) -> None:
        length = "Content-Length: 100001"
        expect = "Expect: 100-continue"
        connection = await request(site, "/letter/", "POST", length, expect)
        status, _ = await connection.head()
        assert status == (100 if site.server == "daphne" else 413)
        await connection.close()

    async def test_a_wanted_body_is_requested(self, site: Served) -> None:
        length = "Content-Length: 3"
        for path in ("/letter/", "/parcel/"):
            connection = await request(site, path, "POST", CLOSE, length, "Expect: 100-continue")
            assert (await connection.head())[0] == 100
            await connection.send(b"abc")
            status, body = await connection.body()
            assert status == 200
            assert b"3" in body
            await connection.close()
