"""Echo of JSON: each frame is decoded, and the same value is encoded again."""

import json
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.cases.echo_text import BURST, echo
from benchmarks.clock import run
from benchmarks.site import set_up

PEERS = ("ours", "upstream", "starlette", "litestar", "limit")
CHANNELS = ("ours", "upstream", "limit")

CASE = Case(
    number=4,
    title="Echo of JSON",
    method="As the echo of text, without a layer, with frames of about 100 bytes. Channels and"
    " Starlette use the standard library's encoder, Litestar and the limit msgspec, and so "
    "does this tree in the rows that say so.",
    rows=(
        Row("ping-pong", "echo JSON: ping-pong", "frame", PEERS),
        Row("burst", "echo JSON: burst", "frame", PEERS),
        Row("ping-pong-msgspec", "echo JSON, msgspec: ping-pong", "frame", CHANNELS),
        Row("burst-msgspec", "echo JSON, msgspec: burst", "frame", CHANNELS),
    ),
)


def channels(row: Row) -> Any:
    """Return a consumer of Channels."""
    # The published Channels does not know this setting.
    set_up(CHANNELS_JSON_CODEC="msgspec" if row.name.endswith("-msgspec") else None)
    from channels.generic.websocket import AsyncJsonWebsocketConsumer

    class Echo(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await self.send_json(content)

    return Echo.as_asgi()


def starlette(row: Row) -> Any:
    """Return an endpoint of Starlette."""
    from starlette.endpoints import WebSocketEndpoint

    class Echo(WebSocketEndpoint):
        encoding = "json"

        async def on_receive(self, websocket: Any, data: Any) -> None:
            await websocket.send_json(data)

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
                await socket.send_json(await socket.receive_json())
        except WebSocketDisconnect:
            pass

    return Litestar([echo], openapi_config=None)


def limit(row: Row) -> Any:
    """Return an ASGI function with msgspec."""
    import msgspec

    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            text = encode(decode(message["text"])).decode()
            await send({"type": "websocket.send", "text": text})

    return application


PROGRAMS = {
    "ours": channels,
    "upstream": channels,
    "starlette": starlette,
    "litestar": litestar,
    "limit": limit,
}
FRAME = {"type": "message", "text": "hello world", "tags": ["a", "b"], "ok": True}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one frame."""
    texts = [
        json.dumps({"number": number, **FRAME})  # unlike each other, as `check_sequence` wants it
        for number in range(scale.count(1000, 100))
    ]
    at_once = BURST if row.name.startswith("burst") else 1
    return run(echo(program, texts, at_once, scale, json.loads), row)
