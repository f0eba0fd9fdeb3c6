"""A message to a group whose members all wait, through the in-memory channel layer."""

import asyncio
import gc
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clock import cpu, run
from benchmarks.honesty import check_equal
from benchmarks.layers import Mailboxes, channels_layer, check_layer, small

PEERS = ("ours", "upstream", "limit")
LINE = "CPU time of a delivery to a group, by members"

CASE = Case(
    number=2,
    title="Memory layer: fan-out",
    method="As many tasks wait, each on its channel. The time runs from `group_send` until all"
    " have received their copy. Upstream needs minutes for a message to 10,000 members, so "
    "that row has one round, and the last one runs without upstream.",
    rows=(
        *(
            Row(
                f"members-{size}",
                f"fan-out to {size:,} members",
                "delivery",
                PEERS,
                size=size,
                line=LINE,
                quick=size != 100,
            )
            for size in (10, 100, 1000)
        ),
        Row(
            "members-10000",
            "fan-out to 10,000 members",
            "delivery",
            PEERS,
            size=10_000,
            line=LINE,
            rounds=1,
            quick=False,
            timeout=900,
        ),
        Row(
            "members-100000",
            "fan-out to 100,000 members",
            "delivery",
            ("ours", "limit"),
            size=100_000,
            line=LINE,
            rounds=3,
            quick=False,
        ),
    ),
)


def channels(row: Row) -> Any:
    """Return the layer of Channels."""
    return channels_layer()


def limit(row: Row) -> Any:
    """Return deques and futures."""
    return Mailboxes(dict.copy)


PROGRAMS = {"ours": channels, "upstream": channels, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one delivery."""
    deliveries = scale.count(20_000, row.size)
    return run(fan_out(program, row.size, max(1, deliveries // row.size)), row)


async def fan_out(layer: Any, members: int, count: int) -> float:
    """Send one message after another, and return the smallest cost of a delivery."""
    await check_layer(layer, small)
    channels = [await layer.new_channel() for _ in range(members)]
    got: list[list[int]] = [[] for _ in channels]
    left = 0
    arrived = asyncio.Event()

    async def read(channel: str, numbers: list[int]) -> None:
        nonlocal left
        while True:
            numbers.append((await layer.receive(channel))["number"])
            left -= 1
            if not left:
                arrived.set()

    for channel in channels:
        await layer.group_add("room", channel)
    tasks = [
        asyncio.ensure_future(read(channel, numbers))
        for channel, numbers in zip(channels, got, strict=True)
    ]
    await asyncio.sleep(0)
    figures = []
    gc.collect()
    number, begin = 0, cpu()
    # With upstream, one message to a large group may take a minute.
    while number < count and (not number or cpu() - begin < 5):
        left = members
        arrived.clear()
        start = cpu()
        await layer.group_send("room", small(number))
        await arrived.wait()
        figures.append((cpu() - start) / members)
        # The last member has its message, but does not wait again yet.
        await asyncio.sleep(0)
        number += 1
    expected = list(range(number))
    for numbers in got:
        check_equal("messages of a member, in order", expected, numbers)
    for task in tasks:
        task.cancel()
    # Upstream takes very long to end many waiting receivers. This process ends anyway.
    return min(figures)
