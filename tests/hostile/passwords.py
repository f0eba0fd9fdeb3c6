"""Strangers who try passwords on the example site, and what its members notice of it.

    PYTHONPATH=tests:. .venv/bin/python -m hostile.passwords

For each way to log in, it prints how long the handshake of a member in a room takes while 10 and 30
strangers try passwords without a pause: in the median, and at the longest.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from members import Member
from processes import SECONDS
from served import Served, demo, uvicorn

__all__ = ["WAYS", "Answers", "address", "handshake", "over_http", "over_socket", "trying"]

SERVERS: Final[dict[str, Callable[[Path], Served]]] = {"daphne": demo, "uvicorn": uvicorn}
#: What the strangers were told, and how often.
Answers = Counter[str]


def address(number: int) -> str:
    """Return the address of a stranger; the members have 127.0.0.1."""
    return f"127.0.1.{number + 1}"


async def over_socket(site: Served, source: str, name: str, answers: Answers) -> None:
    """Try passwords over WebSockets, and connect again whenever one is closed."""
    while True:
        with suppress(ConnectionClosed, InvalidStatus, TimeoutError):
            async with connect(
                f"ws://{site.host}/ws/account/",
                origin=Origin(site.origin),
                local_addr=(source, 0),
                proxy=None,
                open_timeout=SECONDS,
            ) as client:
                while True:
                    form = {"action": "log_in", "username": name, "password": "a guess"}
                    await client.send(json.dumps(form))
                    answers[str(json.loads(await client.recv()).get("problem", "token"))] += 1


async def over_http(site: Served, source: str, name: str, answers: Answers) -> None:
    """Try passwords with the form of the log-in page."""
    token = "a" * 32
    form = {"username": name, "password": "a guess", "csrfmiddlewaretoken": token}
    body = urlencode(form)
    head = [
        "POST /accounts/log-in/ HTTP/1.1",
        f"Host: {site.host}",
        f"Cookie: csrftoken={token}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    while True:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.port, local_addr=(source, 0)
        )
        writer.write("\r\n".join([*head, "", body]).encode())
        status = (await reader.readline()).decode().split()[1]
        with suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        answers[status] += 1


WAYS: Final = {"WebSocket": over_socket, "form": over_http}


@asynccontextmanager
async def trying(
    way: Callable[[Served, str, str, Answers], Awaitable[None]],
    site: Served,
    strangers: int,
    *,
    addresses: int,
) -> AsyncIterator[Answers]:
    """Let strangers try passwords during the block, each with an account's name of their own.

    Args:
        way: How they do it.
        site: The served site.
        strangers: How many there are.
        addresses: From how many addresses they come.
    """
    answers = Answers()
    tasks = [
        asyncio.ensure_future(way(site, address(number % addresses), f"victim-{number}", answers))
        for number in range(strangers)
    ]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def handshake(member: Member) -> float:
    """Open a member's room, and return how many seconds it took."""
    site = member.site
    began = time.perf_counter()
    async with connect(
        f"ws://{site.host}/ws/rooms/tea/",
        origin=Origin(site.origin),
        additional_headers={"Cookie": member.cookies},
        proxy=None,
        open_timeout=SECONDS,
    ):
        return time.perf_counter() - began


async def measure(server: str, way: str, strangers: int, addresses: int, tries: int) -> str:
    """Return a line with the times of the handshakes, and what the strangers were told."""
    with tempfile.TemporaryDirectory() as folder, SERVERS[server](Path(folder)) as site:
        anna = await asyncio.to_thread(Member, site, "Anna")
        async with trying(WAYS[way], site, strangers, addresses=addresses) as answers:
            times = []
            for _ in range(tries):
                # So that each of them waits for an answer, and some get one.
                await asyncio.sleep(1)
                times.append(await handshake(anna))
    told = ", ".join(f"{count} x {text[:40]!r}" for text, count in answers.most_common())
    return (
        f"{server:8} {way:10} {strangers:9} {addresses:9} {statistics.median(times):8.2f} "
        f"{max(times):8.2f}   {told}"
    )


async def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strangers", type=int, nargs="*", default=[0, 10, 30])
    parser.add_argument("--server", choices=SERVERS, default="uvicorn")
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--tries", type=int, default=5, help="handshakes for each line")
    chosen = parser.parse_args()
    print("server   way        strangers addresses   median  longest   answers", flush=True)
    for way in chosen.way or WAYS:
        for strangers in chosen.strangers:
            for addresses in sorted({1, max(1, strangers)}):
                line = await measure(chosen.server, way, strangers, addresses, chosen.tries)
                print(line, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
