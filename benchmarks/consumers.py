"""Measure consumers: the echo of an async one, and sync ones that block.

    python -m benchmarks.consumers

runs each scenario on this tree and on the peer, in turn, and prints medians and ratios. It uses
only the public API under `channels.*`, so the same code runs on both.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.peer import Scenario, compare

FRAMES = 20_000
SLEEPERS = 6
SLEEP_SECONDS = 0.5


def configure() -> None:
    """Set up Django, with the in-memory layer as the default layer."""
    import django
    from django.conf import settings

    settings.configure(
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    )
    django.setup()


async def connection(application: Any, frames: int) -> int:
    """Drive one WebSocket connection whose frames are all available at once.

    Returns:
        How many messages the application sent.
    """
    messages = iter(
        [
            {"type": "websocket.connect"},
            *[{"type": "websocket.receive", "text": "hello"}] * frames,
            {"type": "websocket.disconnect", "code": 1000},
        ]
    )
    sent = 0

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1

    await application({"type": "websocket", "path": "/"}, receive, send)
    return sent


async def echo() -> float:
    """Return how many frames one async consumer echoes per second."""
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data)

    start = time.perf_counter()
    sent = await connection(Echo.as_asgi(), FRAMES)
    seconds = time.perf_counter() - start
    if sent != FRAMES + 1:
        raise RuntimeError(f"{sent} messages were sent, not {FRAMES + 1}")
    return FRAMES / seconds


async def sleepers() -> float:
    """Return the seconds that six sync consumers take together, each blocking for half a second."""
    from channels.generic.websocket import WebsocketConsumer

    class Sleeper(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            time.sleep(SLEEP_SECONDS)

    application = Sleeper.as_asgi()
    start = time.perf_counter()
    await asyncio.gather(*(connection(application, 1) for _ in range(SLEEPERS)))
    return time.perf_counter() - start


async def latency() -> float:
    """Return how many seconds an async echo takes while a sync consumer blocks."""
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

    class Sleeper(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            time.sleep(SLEEP_SECONDS)

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            await self.send(text_data=text_data)

    blocking = asyncio.ensure_future(connection(Sleeper.as_asgi(), 1))
    await asyncio.sleep(SLEEP_SECONDS / 5)
    start = time.perf_counter()
    await connection(Echo.as_asgi(), 1)
    seconds = time.perf_counter() - start
    await blocking
    return seconds


SCENARIOS = {
    "echo": Scenario("echo of an async consumer, frames per second", more_is_better=True),
    "sleepers": Scenario("six sync consumers that each block for 0.5 s, seconds", False),
    "latency": Scenario("an async echo while a sync consumer blocks for 0.5 s, seconds", False),
}
RUNS: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
    "echo": echo,
    "sleepers": sleepers,
    "latency": latency,
}


def main() -> None:
    """Run one scenario in this process, or compare all."""
    if len(sys.argv) == 3 and sys.argv[1] == "--scenario":
        configure()
        print(asyncio.run(RUNS[sys.argv[2]]()))
    else:
        compare("benchmarks.consumers", SCENARIOS)


if __name__ == "__main__":
    main()
