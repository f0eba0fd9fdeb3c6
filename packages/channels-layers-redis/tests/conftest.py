"""A server for the tests of one module, and layers that are closed at the end of each test."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess, running_redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running_redis() as server:
        yield server


@pytest_asyncio.fixture
async def make(server: RedisProcess) -> AsyncIterator[Callable[..., RedisChannelLayer]]:
    """Return a function that makes a layer: each one stands for a process."""
    layers = []

    def make_layer(**options: Any) -> RedisChannelLayer:
        layer = RedisChannelLayer(**{"hosts": [server.url], **options})
        layers.append(layer)
        return layer

    yield make_layer
    for layer in layers:
        await layer.close()
    server.ask("FLUSHALL")
