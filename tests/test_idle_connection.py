"""What an idle connection keeps, behind the authentication stack and in a group."""

import asyncio
import gc
from collections import Counter
from types import CoroutineType, FrameType, FunctionType
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.test import override_settings
from django.urls import path

SCOPE: dict[str, Any] = {
    "type": "websocket",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "path": "/room/",
    "query_string": b"",
    "headers": [],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 8000),
    "subprotocols": [],
    "test": "idle",
}
MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
MANY = 20


class Member(AsyncWebsocketConsumer):
    groups = ["room"]

    async def connect(self) -> None:
        assert self.scope["user"].is_anonymous
        await self.accept()


async def hold(application: Any, until: asyncio.Event) -> None:
    """Serve one connection, whose client does nothing but connect."""
    messages = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await until.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        assert message["type"] == "websocket.accept"

    await application(dict(SCOPE), receive, send)


def census() -> Counter[str]:
    """Count what there is of the kinds that a connection should have few of."""
    counts: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        if kind is dict and each.get("test") == "idle":
            counts["scopes"] += 1
        elif kind is CoroutineType:
            counts["coroutines"] += 1
        elif kind in (FrameType, FunctionType, asyncio.Task, set):
            counts[kind.__name__] += 1
    return counts


@override_settings(CHANNEL_LAYERS=MEMORY)
async def test_an_idle_connection_keeps_few_coroutines_and_copies_of_its_scope() -> None:
    routes = URLRouter([path("room/", Member.as_asgi())])
    application = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(routes)})
    until = asyncio.Event()

    async def more(number: int) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(hold(application, until)) for _ in range(number)]
        for _ in range(20):
            await asyncio.sleep(0)
        gc.collect()
        return tasks

    tasks = await more(MANY)  # what is made once is there now
    before = census()
    tasks += await more(MANY)
    kept = census()
    kept.subtract(before)
    until.set()
    await asyncio.gather(*tasks)
    assert {kind: round(count / MANY) for kind, count in kept.items() if abs(count) >= MANY} == {
        # The server's and the consumer's.
        "scopes": 2,
        # Three of this test: `hold`, `receive` and the wait in that.
        "coroutines": 7 + 3,
        # Two of this test: its `receive` and `send`.
        "function": 2,
        "Task": 2,
    }
