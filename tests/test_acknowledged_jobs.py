"""Jobs that are given again until they are acknowledged, with real layers and workers."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from channels.consumer import AsyncConsumer
from channels.layers import channel_layers
from channels.worker import Worker

from channels_layers_memory import InMemoryChannelLayer
from processes import SECONDS


class MemoryLayer(InMemoryChannelLayer):
    """A layer that keeps its messages when a worker has closed it, as a server does."""

    async def close(self) -> None:
        """Keep everything."""


@pytest.fixture
def make_layer() -> Iterator[Callable[..., Any]]:
    """Return a function that makes a layer with a queue."""

    def make(**limits: Any) -> Any:
        layer = MemoryLayer(queues={"jobs": limits})
        channel_layers.set("default", layer)
        return layer

    yield make
    channel_layers.set("default", None)


class Handler:
    """A consumer's handler that the test controls, and what it has been given."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.changed = asyncio.Event()

    async def handle(self, number: int) -> None:
        """Handle a message; a test replaces this."""

    def consumer(self) -> Any:
        handler = self

        class Consumer(AsyncConsumer):
            channel_layer_alias = None

            async def job(self, message: dict[str, Any]) -> None:
                handler.numbers.append(message["number"])
                handler.changed.set()
                await handler.handle(message["number"])

        return Consumer.as_asgi()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(SECONDS):
            while len(self.numbers) < count:
                self.changed.clear()
                await self.changed.wait()


def job(number: int) -> dict[str, Any]:
    return {"type": "job", "number": number}


async def test_a_job_whose_handler_fails_comes_again_and_is_a_dead_letter_at_last(
    make_layer: Callable[..., Any],
) -> None:
    handler = Handler()

    async def fail(number: int) -> None:
        raise LookupError(f"no picture {number}")

    handler.handle = fail  # type: ignore[method-assign] # what the test wants it to do
    layer = make_layer(redeliver_after=0.05, tries=3)
    worker = Worker(handler.consumer(), ["jobs"], layer)
    running = asyncio.ensure_future(worker.arun())
    await layer.send("jobs", job(7))
    async with asyncio.timeout(SECONDS):
        dead = await layer.receive("jobs.dead")
    assert handler.numbers == [7, 7, 7]
    told = {"channel": "jobs", "error": "LookupError: no picture 7", "attempts": 3}
    assert dead == {**job(7), "dead": told}
    worker.stop()
    await running


async def test_a_worker_that_stops_gives_its_job_back(make_layer: Callable[..., Any]) -> None:
    handler = Handler()

    async def hang(number: int) -> None:
        await asyncio.Event().wait()

    handler.handle = hang  # type: ignore[method-assign] # what the test wants it to do
    layer = make_layer(redeliver_after=600, tries=3)
    worker = Worker(handler.consumer(), ["jobs"], layer, graceful_timeout=0)
    running = asyncio.ensure_future(worker.arun())
    await layer.send("jobs", job(1))
    await handler.until(1)
    worker.stop()
    await running
    async with asyncio.timeout(SECONDS):
        delivery = await layer.receive_delivery("jobs")
    assert (delivery.message, delivery.attempt) == (job(1), 1)


async def test_a_job_that_was_handled_does_not_come_again(make_layer: Callable[..., Any]) -> None:
    handler = Handler()
    layer = make_layer(redeliver_after=0.05, tries=3)
    worker = Worker(handler.consumer(), ["jobs"], layer)
    running = asyncio.ensure_future(worker.arun())
    for number in range(100):
        await layer.send("jobs", job(number))
    await handler.until(100)
    # One more comes only after the time of those that were not acknowledged.
    async with asyncio.timeout(SECONDS):
        await layer.send("jobs", job(100))
        await handler.until(101)
    worker.stop()
    await running
    assert sorted(handler.numbers) == [*range(101)]
