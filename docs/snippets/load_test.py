"""Hold many WebSockets to a consumer that echoes, and measure it.

python load_test.py ws://127.0.0.1:8000/ws/echo/ --connections 1000 --pid 4242
"""

import argparse
import asyncio
import time
from pathlib import Path
from statistics import quantiles

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin


def resident(pid: int) -> int:
    """Return the resident memory of a process in KiB; Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def answer_time(client: ClientConnection, text: str) -> float:
    """Send a text, and return the seconds until it has come back."""
    start = time.perf_counter()
    await client.send(text)
    while await client.recv() != text:
        pass
    return time.perf_counter() - start


async def measure(
    url: str,
    *,
    connections: int,
    origin: str,
    pid: int | None = None,
    compression: str | None = None,
    at_once: int = 50,
) -> dict[str, float]:
    """Connect, let each connection ask once, and return the figures."""
    gate = asyncio.Semaphore(at_once)

    async def enter() -> ClientConnection:
        async with gate:
            return await connect(
                url,
                origin=Origin(origin),
                compression=compression,
                open_timeout=60,
            )

    async def ask(number: int) -> float:
        async with gate:
            return await answer_time(clients[number], f"number {number}")

    before = resident(pid) if pid else 0
    start = time.perf_counter()
    clients = await asyncio.gather(*[enter() for _ in range(connections)])
    took = time.perf_counter() - start
    times = await asyncio.gather(*[ask(number) for number in range(connections)])
    after = resident(pid) if pid else 0
    await asyncio.gather(*[client.close() for client in clients])
    return {
        "connections": connections,
        "handshakes a second": connections / took,
        "median answer, ms": 1000 * quantiles(times, n=100)[49],
        "99 of 100 answers within, ms": 1000 * quantiles(times, n=100)[98],
        "KiB for a connection": (after - before) / connections,
    }


def main() -> None:
    """Read the command line, measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--origin", default="http://127.0.0.1:8000")
    parser.add_argument("--pid", type=int, help="the server's process, on this machine")
    parser.add_argument(
        "--compression", choices=["deflate"], help="as browsers ask for; none if left out"
    )
    given = vars(parser.parse_args())
    figures = asyncio.run(measure(given.pop("url"), **given))
    for name, figure in figures.items():
        print(f"{name:30} {figure:,.1f}")


if __name__ == "__main__":
    main()
