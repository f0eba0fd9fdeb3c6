"""Sync handlers that block, and an async echo beside them."""

import asyncio
import time
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.cases import echo_text
from benchmarks.cases.echo_sync import in_threads
from benchmarks.clients import Client
from benchmarks.clock import run
from benchmarks.honesty import DishonestError, check_equal, check_sequence
from benchmarks.site import set_up

PEERS = ("ours", "upstream", "starlette", "limit")
HANDLERS = 64
SECONDS = 0.05

CASE = Case(
    number=10,
    title="Blocking sync handlers",
    method="64 connections get three frames each; each handler sleeps 50 ms and answers. Wall "
    "time. The second row is the 99th percentile of an async echo every 2 ms beside them. The"
    " limit has a thread for each connection.",
    rows=(
        Row("handlers", "64 sync handlers that sleep 50 ms", "round", PEERS, together="one"),
        Row("echo-p99", "async echo beside them, p99", "frame", PEERS, together="one"),
    ),
)


#: The seconds that each handler has slept.
slept: list[float] = []


def sleep() -> None:
    """Sleep in a handler, and note for how long."""
    start = time.perf_counter()
    time.sleep(SECONDS)
    slept.append(time.perf_counter() - start)


class Pair:
    """An application that blocks a thread, and one that does not."""

    def __init__(self, blocking: Any, echo: Any) -> None:
        self.blocking = blocking
        self.echo = echo


def channels(row: Row) -> Any:
    """Return a sync and an async consumer of Channels."""
    set_up()
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

    class Sleeper(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            sleep()
            self.send(text_data=text_data)

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data)

    return Pair(Sleeper.as_asgi(), Echo.as_asgi())


def starlette(row: Row) -> Any:
    """Return endpoints of Starlette, one with its pool of threads."""
    from starlette.concurrency import run_in_threadpool
    from starlette.endpoints import WebSocketEndpoint

    class Echo(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket: Any, data: Any) -> None:
            await websocket.send_text(data)

    class Sleeper(Echo):
        async def on_receive(self, websocket: Any, data: Any) -> None:
            await run_in_threadpool(sleep)
            await websocket.send_text(data)

    def application(endpoint: Any) -> Any:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            await endpoint(scope, receive, send)

        return serve

    return Pair(application(Sleeper), application(Echo))


def limit(row: Row) -> Any:
    """Return ASGI functions, one with a thread for each connection."""

    def answer(text: str) -> str:
        sleep()
        return text

    return Pair(in_threads(answer, HANDLERS), echo_text.limit(row))


PROGRAMS = {"ours": channels, "upstream": channels, "starlette": starlette, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> dict[str, float]:
    """Return the seconds of a round of handlers, and the 99th percentile of the echo."""
    return run(beside(program, scale.count(3, 1)), row, waits=True)


async def beside(pair: Pair, frames: int) -> dict[str, float]:
    """Let handlers sleep, and echo beside them."""
    sleepers = [Client(pair.blocking) for _ in range(HANDLERS)]
    beside = Client(pair.echo)
    for client in [*sleepers, beside]:
        await client.accepted()
    texts = [f"hello {number}" for number in range(frames)]
    slept.clear()
    start = time.perf_counter()
    for client in sleepers:
        client.feed(*({"type": "websocket.receive", "text": text} for text in texts))
    answered = asyncio.gather(*(client.until(frames + 1) for client in sleepers))
    delays = []
    echoed: list[str] = []
    while not answered.done():
        text = f"beside {len(echoed)}"
        echoed.append(text)
        since = time.perf_counter()
        beside.feed({"type": "websocket.receive", "text": text})
        await beside.until(len(echoed) + 1)
        delays.append(time.perf_counter() - since)
        await asyncio.sleep(0.002)
    await answered
    seconds = (time.perf_counter() - start) / frames
    for client in [*sleepers, beside]:
        await client.leave()
    for client in sleepers:
        check_sequence("answers of a handler that sleeps", texts, client.texts())
    check_sequence("echoes beside handlers that sleep", echoed, beside.texts())
    check_equal("handlers that slept", HANDLERS * frames, len(slept))
    # The clock of the system may be a little behind the one that counts here.
    least = SECONDS * 0.9
    if (shortest := min(slept)) < least:
        raise DishonestError(f"a handler slept for {shortest:.4f} s, not for {SECONDS} s")
    if seconds < least:
        # The frames of a connection are handled one after the other.
        raise DishonestError(f"a round of handlers that sleep {SECONDS} s took {seconds:.4f} s")
    return {"handlers": seconds, "echo-p99": sorted(delays)[int(len(delays) * 0.99)]}
