"""Measure the in-memory channel layer: point to point, to groups, and beside idle channels.

    python -m benchmarks.layers

runs each scenario on this tree and on the peer, in turn, and prints medians and ratios. It uses
only the public API under `channels.layers`, so the same code runs on both.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

from benchmarks.peer import Scenario, compare, measure

MESSAGE = {"type": "chat.message", "text": "hello world", "room": 12345}
BATCH = 50  # Half of the default capacity.
IDLE = 50_000
IDLE_ROUNDS = 5


def new_layer() -> Any:
    """Return an in-memory layer of the installed `channels`."""
    from channels.layers import InMemoryChannelLayer

    # The peer may take longer than 60 seconds, the default, for one message to a large group. Its
    # last members would then wait for ever.
    return InMemoryChannelLayer(expiry=3600)


async def pairs(layer: Any, channel: str, count: int) -> float:
    """Send and receive messages one by one, and return how many per second."""
    start = time.perf_counter()
    for _ in range(count):
        await layer.send(channel, MESSAGE)
        await layer.receive(channel)
    return count / (time.perf_counter() - start)


async def buffered() -> float:
    """Return the messages per second through a queue that fills and empties."""
    layer = new_layer()
    channel = await layer.new_channel()
    figures = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(50):
            for _ in range(BATCH):
                await layer.send(channel, MESSAGE)
            for _ in range(BATCH):
                await layer.receive(channel)
        figures.append(50 * BATCH / (time.perf_counter() - start))
    return median(figures)


async def alternating() -> float:
    """Return the messages per second if each is received before the next is sent."""
    layer = new_layer()
    channel = await layer.new_channel()
    return median([await pairs(layer, channel, 2500) for _ in range(10)])


async def waiting() -> float:
    """Return the messages per second between two tasks that wait for each other in turn."""
    layer = new_layer()
    here, there = await layer.new_channel(), await layer.new_channel()

    async def answer() -> None:
        while True:
            await layer.receive(there)
            await layer.send(here, MESSAGE)

    task = asyncio.ensure_future(answer())
    await asyncio.sleep(0)
    figures = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(1000):
            await layer.send(there, MESSAGE)
            await layer.receive(here)
        figures.append(2 * 1000 / (time.perf_counter() - start))
    await end([task])
    return median(figures)


async def fan_out(members: int) -> float:
    """Return the messages per second to a group, from the sending until all members wait again.

    It sends one message after another for a second, or only one if that takes longer.
    """
    layer = new_layer()
    channels = [await layer.new_channel() for _ in range(members)]
    received = 0
    all_received = asyncio.Event()

    async def read(channel: str) -> None:
        nonlocal received
        while True:
            await layer.receive(channel)
            received += 1
            if received == members:
                all_received.set()

    for channel in channels:
        await layer.group_add("room", channel)
    tasks = [asyncio.ensure_future(read(channel)) for channel in channels]
    await asyncio.sleep(0)
    figures: list[float] = []
    started = time.perf_counter()
    while not figures or time.perf_counter() - started < 1:
        received = 0
        all_received.clear()
        start = time.perf_counter()
        await layer.group_send("room", MESSAGE)
        await all_received.wait()
        # The last member has received its message, but does not wait again yet.
        await asyncio.sleep(0)
        figures.append(members / (time.perf_counter() - start))
    await end(tasks)
    return median(figures)


async def beside_idle(idle: int, count: int) -> tuple[float, float]:
    """Return the messages per second without other channels, and with others that wait."""
    alone, among = new_layer(), new_layer()
    tasks = [asyncio.ensure_future(among.receive(f"idle.{number}")) for number in range(idle)]
    await asyncio.sleep(0)
    figures: tuple[list[float], list[float]] = ([], [])
    for _ in range(15):
        for layer, found in zip((alone, among), figures, strict=True):
            found.append(await pairs(layer, "busy", count))
    await end(tasks)
    return median(figures[0]), median(figures[1])


async def beside_thousand() -> float:
    """Return the messages per second beside a thousand channels that wait."""
    return (await beside_idle(1000, 200))[1]


async def cost_of_idle() -> float:
    """Return the cost of a message beside many idle channels, as a multiple of its cost alone."""
    alone, among = await beside_idle(IDLE, 10_000)
    return alone / among


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


RUNS: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
    "buffered": buffered,
    "alternating": alternating,
    "waiting": waiting,
    "fan-out-1000": lambda: fan_out(1000),
    "fan-out-10000": lambda: fan_out(10_000),
    "beside-1000": beside_thousand,
    "idle": cost_of_idle,
}
SCENARIOS = {
    "buffered": Scenario(f"point to point, {BATCH} sent and then received, per second", True, 7),
    "alternating": Scenario("point to point, sent and received one by one, per second", True, 7),
    "waiting": Scenario("point to point, to a waiting receiver, per second", True, 7),
    "fan-out-1000": Scenario("to a group of 1,000 that wait, received per second", True, 5),
    # The peer takes more than a minute for one message to the group.
    "fan-out-10000": Scenario("to a group of 10,000 that wait, received per second", True, 1),
    "beside-1000": Scenario("point to point beside 1,000 idle channels, per second", True, 3),
}


def main() -> None:
    """Run one scenario in this process, or compare all."""
    if len(sys.argv) == 3 and sys.argv[1] == "--scenario":
        print(asyncio.run(RUNS[sys.argv[2]]()))
        return
    compare("benchmarks.layers", SCENARIOS, timeout=600)
    # Only ours, because the peer would take minutes to have so many channels wait.
    costs = [measure(sys.executable, "benchmarks.layers", "idle", 120) for _ in range(IDLE_ROUNDS)]
    print(f"point to point beside {IDLE:,} idle channels\n  ours {median(costs):.2f} times the "
          f"cost beside none ({min(costs):.2f} to {max(costs):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
