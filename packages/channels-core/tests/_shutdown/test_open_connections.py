"""The end of a server, which waits for the connections that it has cancelled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels_core.consumer import AsyncConsumer
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message
from fakes import Server


class Slow(AsyncConsumer):
    """Cleans up in several steps."""

    channel_layer_alias = None
    started: asyncio.Event
    steps: list[str]

    async def websocket_connect(self, message: Message) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            for step in ("first", "second", "third"):
                await asyncio.sleep(0)
                self.steps.append(step)


class Outer(AsyncConsumer):
    """Has `Slow` handle its connection, and cleans up after it."""

    channel_layer_alias = None

    async def websocket_connect(self, message: Message) -> None:
        inner: Any = Slow.as_asgi()
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        inbox.put_nowait(message)
        try:
            await inner(self.scope, inbox.get, self.base_send)
        finally:
            await asyncio.sleep(0)
            Slow.steps.append("outer")


@pytest.fixture(params=[Slow, Outer])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    Slow.started, Slow.steps = asyncio.Event(), []
    server = Server(request.param.as_asgi())
    server.put({"type": "websocket.connect"})
    await Slow.started.wait()
    yield server
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()


async def shut_down() -> list[str]:
    """End the server, and return the steps that `Slow` had done by then."""
    done: list[list[str]] = []
    lifespan = Server(
        ProtocolTypeRouter({}, on_shutdown=[lambda: done.append([*Slow.steps])]),
        {"type": "lifespan"},
    )
    lifespan.put({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await lifespan.end()
    return done[0]


async def test_it_waits_for_the_clean_up_of_a_cancelled_connection(server: Server) -> None:
    server.task.cancel()
    steps = await shut_down()
    assert steps[:3] == ["first", "second", "third"]
    assert server.task.done()


async def test_it_does_not_wait_for_other_connections(server: Server) -> None:
    assert await shut_down() == []
    assert not server.task.done()
