"""Echo of text frames through one async connection, with and without a channel layer."""

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clients import Client
from benchmarks.clock import cheapest, cpu, run
from benchmarks.honesty import check_sequence
from benchmarks.site import MEMORY, set_up

PEERS = ("ours", "upstream", "starlette", "litestar", "limit")
CHANNELS = ("ours", "upstream", "limit")

CASE = Case(
    number=4,
    title="Echo of text frames",
    method="One connection, driven in the process. Ping-pong: each frame is sent when the echo"
    " of the one before has arrived. Burst: 100 frames can be read at once.",
    rows=(
        Row("ping-pong", "echo text, no layer: ping-pong", "frame", PEERS),
        Row("burst", "echo text, no layer: burst", "frame", PEERS),
        Row("ping-pong-layer", "echo text, memory layer: ping-pong", "frame", CHANNELS),
        Row("burst-layer", "echo text, memory layer: burst", "frame", CHANNELS),
    ),
)


def channels(row: Row) -> Any:
    """Return a consumer of Channels."""
    set_up(CHANNEL_LAYERS=MEMORY if row.name.endswith("-layer") else {})
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data)

    return Echo.as_asgi()


def starlette(row: Row) -> Any:
    """Return an endpoint of Starlette, which is a class, as consumers are."""
    from starlette.endpoints import WebSocketEndpoint

    class Echo(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket: Any, data: Any) -> None:
            await websocket.send_text(data)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await Echo(scope, receive, send)

    return application


def litestar(row: Row) -> Any:
    """Return a handler of Litestar."""
    from litestar import Litestar, WebSocket, websocket
    from litestar.exceptions import WebSocketDisconnect

    @websocket("/")
    async def echo(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect:
            pass

    echo.fn.__annotations__["socket"] = WebSocket
    return Litestar([echo], openapi_config=None)


def limit(row: Row) -> Any:
    """Return an ASGI function; with a layer, its frames come through a queue, as messages do."""
    if row.name.endswith("-layer"):
        return mailbox

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    return application


async def mailbox(scope: Any, receive: Any, send: Any) -> None:
    """Echo what a reader task, beside which a layer could write, puts into a queue."""
    await receive()
    await send({"type": "websocket.accept"})
    inbox: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        while True:
            message = await receive()
            inbox.put_nowait(message)
            if message["type"] == "websocket.disconnect":
                return

    reader = asyncio.create_task(read())
    while (message := await inbox.get())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    await reader


PROGRAMS = {
    "ours": channels,
    "upstream": channels,
    "starlette": starlette,
    "litestar": litestar,
    "limit": limit,
}


BURST = 100


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one frame."""
    texts = [f"hello {number}" for number in range(scale.count(1000, 100))]
    at_once = BURST if row.name.startswith("burst") else 1
    return run(echo(program, texts, at_once, scale), row)


async def echo(
    program: Any,
    texts: list[str],
    at_once: int,
    scale: Scale,
    read: Callable[[str], Any] = str,
) -> float:
    """Measure one connection; what `read` makes of the texts has to come back."""
    frames = [{"type": "websocket.receive", "text": text} for text in texts]

    async def once() -> float:
        client = Client(program)
        await client.accepted()
        first = 0
        start = cpu()
        try:
            for first in range(0, len(frames), at_once):
                client.feed(*frames[first : first + at_once])
                await client.until(first + at_once + 1)
        except asyncio.CancelledError:
            # `run` ends the wait for a frame that was lost.
            fed = texts[: first + at_once]
            check_sequence("echoed frames", map(read, fed), map(read, client.texts()))
            raise
        seconds = cpu() - start
        await client.leave()
        check_sequence("echoed frames", map(read, texts), map(read, client.texts()))
        return seconds / len(frames)

    return await cheapest(once, scale.repetitions)
