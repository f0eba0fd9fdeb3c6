"""What clients see when a real server is told to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from served import Served

HERE = Path(__file__).resolve().parent
COMMANDS = {
    "uvicorn": (["uvicorn", "--lifespan", "on"], "--port", "Uvicorn running on "),
    "daphne": (["daphne", "-v", "1"], "-p", "Listening on TCP address "),
    "loop": (["stopping_loop_server"], "--port", "Uvicorn running on "),
}
IDLE = 50


def serve(server: str) -> Served:
    command, option, announces = COMMANDS[server]
    return Served(
        server,
        lambda port: [
            *(sys.executable, "-m", *command),
            *(option, str(port), "stopping_site:application"),
        ],
        {**os.environ, "PYTHONUNBUFFERED": "1"},
        announces,
        HERE,
    )


async def last_words(client: ClientConnection) -> tuple[list[str | bytes], int | None]:
    """Return the remaining messages and the close code."""
    texts = []
    try:
        while True:
            texts.append(await client.recv())
    except ConnectionClosed:
        return texts, client.close_code


async def request(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@pytest.fixture(params=COMMANDS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    served = serve(request.param)
    await asyncio.to_thread(served.start)
    yield served
    if served.process.returncode is None:
        served.process.kill()
        served.process.communicate()


async def test_all_connections_end_in_order(server: Served) -> None:
    async with AsyncExitStack() as stack:
        url = f"ws://{server.host}"
        working = await stack.enter_async_context(connect(f"{url}/working/"))
        blocking = await stack.enter_async_context(connect(f"{url}/blocking/"))
        idle = [await stack.enter_async_context(connect(f"{url}/working/")) for _ in range(IDLE)]
        feed, feed_writer = await request(server.port, "/feed/")
        poll, poll_writer = await request(server.port, "/poll/")
        # It works much longer than a refusal takes.
        await working.send("3")
        await blocking.send("")
        assert await working.recv() == "begun"
        assert await blocking.recv() == "begun"

        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "draining")
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{url}/working/")
        assert refused.value.response.status_code == (403 if server.server == "daphne" else 503)

        assert await last_words(working) == (["done"], 1012)
        assert await last_words(blocking) == (["done"], 1012)
        assert [await last_words(each) for each in idle] == [([], 1012)] * IDLE
        # A complete response, with its last chunk.
        assert (await feed.read()).endswith(b"data: hello\n\n\r\n0\r\n\r\n")
        assert (await poll.read()) == b"0\r\n\r\n"
        feed_writer.close()
        poll_writer.close()
    code = await asyncio.to_thread(server.process.wait)
    assert code == (-signal.SIGTERM if server.server == "uvicorn" else 0)
    rest, _ = server.process.communicate()
    lines = ("".join(server.output) + rest).splitlines()
    assert lines.count("working: disconnect 1012") == IDLE + 1
    assert lines.count("blocking: disconnect 1012") == 1
    assert lines.count("feed: disconnect") == 1
    assert lines.count("poll: disconnect") == 1
    assert "Traceback" not in "".join(lines)


async def test_a_second_signal_does_not_wait(server: Served) -> None:
    async with connect(f"ws://{server.host}/working/") as working:
        # Longer than any test may take.
        await working.send("3600")
        assert await working.recv() == "begun"
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait_for, "draining")
        server.process.send_signal(signal.SIGTERM)
        _, code = await last_words(working)
        assert code in (1006, 1012)
        if server.server != "daphne":
            # Uvicorn itself waits for its applications without a limit.
            server.process.send_signal(signal.SIGINT)
        await asyncio.to_thread(server.process.wait)
        server.process.communicate()
