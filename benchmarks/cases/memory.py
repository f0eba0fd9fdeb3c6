"""What an idle connection costs: resident memory and tasks."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

from benchmarks.case import BYTES, Case, Row, Scale
from benchmarks.cases.connect import channels, check_held, limit, starlette
from benchmarks.clients import Client
from benchmarks.clock import run
from benchmarks.honesty import check_equal

PEERS = ("ours", "upstream", "starlette", "limit")

CASE = Case(
    number=5,
    title="Memory of an idle connection",
    method="Connections as above, anonymous, that stay: the growth of the process's resident "
    "memory for each, client included. The second row counts tasks, the client's one "
    "included.",
    rows=(
        Row("resident", "memory of an idle connection", "connection", PEERS, unit=BYTES),
        Row("tasks", "tasks of an idle connection", "connection", PEERS, unit="tasks"),
    ),
)

PROGRAMS = {"ours": channels, "upstream": channels, "starlette": starlette, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the bytes, or the tasks, of one connection."""
    try:
        return run(idle(program, row, scale.count(2000, 100)), row)
    finally:
        program.close()


def resident() -> int:
    """Return the memory of this process in bytes; it is only there on Unix."""
    import resource

    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


async def idle(site: Any, row: Row, count: int) -> float:
    """Hold connections and look at what they cost."""
    first = [Client(site.application, "/room/") for _ in range(200)]
    for client in first:
        await client.accepted()
    gc.collect()
    memory, tasks = resident(), len(asyncio.all_tasks())
    held = []
    for _ in range(count):
        held.append(client := Client(site.application, "/room/"))
        await client.accepted()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    memory, tasks = resident() - memory, len(asyncio.all_tasks()) - tasks
    await check_held(site, [*first, *held])
    site.seen.clear()
    for client in [*first, *held]:
        await client.leave()
    check_equal(
        "connections that left at the end", len(first) + count, site.seen.count("left 1000")
    )
    return (memory if row.unit == BYTES else tasks) / count
