"""A message between two tasks while others wait on channels of their own."""

import asyncio
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.cases.fan_out import PROGRAMS
from benchmarks.clock import cheapest, cpu, run
from benchmarks.honesty import check_sequence
from benchmarks.layers import check_layer, small

__all__ = ["CASE", "PROGRAMS", "measure"]

PEERS = ("ours", "upstream", "limit")
LINE = "CPU time of a message, beside idle channels"

CASE = Case(
    number=3,
    title="Memory layer: one pair beside idle channels",
    method="One task sends and receives in turn, while receivers wait on other channels. "
    "Upstream needs many minutes until 50,000 receivers wait, so that row has one round.",
    rows=(
        Row("idle-0", "one pair beside no idle channel", "message", PEERS, line=LINE, quick=False),
        Row("idle-1000", "one pair beside 1,000 idle", "message", PEERS, size=1000, line=LINE),
        Row(
            "idle-10000",
            "one pair beside 10,000 idle",
            "message",
            PEERS,
            size=10_000,
            line=LINE,
            rounds=3,
            quick=False,
            timeout=600,
        ),
        Row(
            "idle-50000",
            "one pair beside 50,000 idle",
            "message",
            PEERS,
            size=50_000,
            line=LINE,
            rounds=1,
            quick=False,
            timeout=3600,
        ),
    ),
)


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for sending and receiving a message."""
    return run(beside(program, row.size, scale), row)


async def beside(layer: Any, idle: int, scale: Scale) -> float:
    """Measure one pair."""
    await check_layer(layer, small)
    tasks = [asyncio.ensure_future(layer.receive(f"idle.{number}")) for number in range(idle)]
    await asyncio.sleep(0)
    # Enough for a clock with a resolution of a microsecond, and not minutes beside many.
    count = scale.count(2000, 20)

    async def once() -> float:
        got = []
        begin = start = cpu()
        done = 0
        for number in range(count):
            await layer.send("busy", small(number))
            got.append(await layer.receive("busy"))
            done = number + 1
            if done % 10 == 0 and cpu() - begin > 0.5:
                break
        seconds = cpu() - start
        check_sequence("messages beside idle channels", map(small, range(done)), got)
        return seconds / done

    figure = await cheapest(once, scale.repetitions)
    for task in tasks:
        if task.done():
            task.result()
    return figure
