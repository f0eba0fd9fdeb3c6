"""Echo of text frames through a sync consumer, whose handlers run in threads."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.cases.echo_text import BURST, echo
from benchmarks.clock import run
from benchmarks.site import MEMORY, set_up

CHANNELS = ("ours", "upstream", "litestar", "limit")

CASE = Case(
    number=4,
    title="Echo of a sync consumer",
    method="As the echo of text, with a handler that is a plain function and runs in a thread."
    " CPU time of all threads. Litestar: a sync listener. The limit: one queue into one "
    "thread, and one `call_soon_threadsafe` back.",
    rows=(
        Row("ping-pong", "echo sync, no layer: ping-pong", "frame", CHANNELS),
        Row("burst", "echo sync, no layer: burst", "frame", CHANNELS),
        Row("ping-pong-layer", "echo sync, memory layer: ping-pong", "frame", CHANNELS),
        Row("burst-layer", "echo sync, memory layer: burst", "frame", CHANNELS),
    ),
)


def channels(row: Row) -> Any:
    """Return a consumer of Channels."""
    set_up(CHANNEL_LAYERS=MEMORY if row.name.endswith("-layer") else {})
    from channels.generic.websocket import WebsocketConsumer

    class Echo(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            self.send(text_data=text_data)

    return Echo.as_asgi()


def litestar(row: Row) -> Any:
    """Return a sync listener of Litestar."""
    from litestar import Litestar, websocket_listener

    @websocket_listener("/", sync_to_thread=True)
    def echo(data: str) -> str:
        return data

    return Litestar([echo], openapi_config=None)


def limit(row: Row) -> Any:
    """Return one thread that works off a queue."""
    return in_threads(lambda text: text, 1)


def in_threads(handle: Callable[[str], str], count: int) -> Any:
    """Return an ASGI function whose frames are handled in threads that work off a queue.

    Args:
        handle: Returns the answer to a text.
        count: The number of threads.
    """
    work: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        while True:
            loop, future, text = work.get()
            loop.call_soon_threadsafe(future.set_result, handle(text))

    for _ in range(count):
        threading.Thread(target=run, daemon=True).start()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            future: asyncio.Future[str] = loop.create_future()
            work.put((loop, future, message["text"]))
            await send({"type": "websocket.send", "text": await future})

    return application


PROGRAMS = {"ours": channels, "upstream": channels, "litestar": litestar, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one frame."""
    texts = [f"hello {number}" for number in range(scale.count(300, 100))]
    at_once = BURST if row.name.startswith("burst") else 1
    return run(echo(program, texts, at_once, scale), row)
