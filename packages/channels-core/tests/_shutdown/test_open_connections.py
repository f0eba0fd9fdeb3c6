import asyncio

import pytest

from channels_core._shutdown import open_connections
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


@pytest.fixture
async def server() -> Server:
    Slow.started, Slow.steps = asyncio.Event(), []
    server = Server(Slow.as_asgi())
    server.put({"type": "websocket.connect"})
    await Slow.started.wait()
    return server


def task_of(consumer: type[Slow]) -> asyncio.Task[None]:
    [task] = open_connections._tasks
    return task


async def test_a_server_that_ends_waits_for_what_it_has_cancelled(server: Server) -> None:
    task_of(Slow).cancel()
    done: list[list[str]] = []
    lifespan = Server(
        ProtocolTypeRouter({}, on_shutdown=[lambda: done.append([*Slow.steps])]),
        {"type": "lifespan"},
    )
    lifespan.put({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await lifespan.end()
    assert done == [["first", "second", "third"]]
    with pytest.raises(asyncio.CancelledError):
        await server.end()


async def test_it_does_not_wait_for_others(server: Server) -> None:
    task = task_of(Slow)
    await open_connections.wait_for_cancelled()
    assert not task.done()
    task.cancel()
    await open_connections.wait_for_cancelled()
    assert task.done()
    with pytest.raises(asyncio.CancelledError):
        await server.end()


async def test_what_has_ended_is_forgotten(server: Server) -> None:
    task_of(Slow).cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()
    assert not open_connections._tasks


async def test_a_consumer_within_another_does_not_end_the_outer_one() -> None:
    with open_connections.Serving():
        with open_connections.Serving():
            pass
        assert [*open_connections._tasks] == [asyncio.current_task()]
    assert not open_connections._tasks
