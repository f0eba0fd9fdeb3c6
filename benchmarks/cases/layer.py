"""Point to point through the in-memory channel layer."""

import asyncio
from functools import partial
from typing import Any

from benchmarks.case import Case, Row, Scale
from benchmarks.clock import cheapest, cpu, run
from benchmarks.honesty import check_sequence
from benchmarks.layers import Mailboxes, channels_layer, check_layer, nested, small

PEERS = ("ours", "upstream", "limit")
BATCH = 50

CASE = Case(
    number=1,
    title="Memory layer: point to point",
    method="A small message has four plain values, a nested one 110 rows and about 10 kB. "
    "Buffered: 50 are sent and then received. Waiting: two tasks answer each other, and each "
    "is waiting when its message arrives. The limit copies a small message with `dict.copy` "
    "and a nested one with msgpack.",
    rows=(
        Row("small-buffered", "layer, small: buffered", "message", PEERS),
        Row("small-waiting", "layer, small: to a waiting receiver", "message", PEERS),
        Row("nested-buffered", "layer, nested 10 kB: buffered", "message", PEERS),
        Row("nested-waiting", "layer, nested 10 kB: to a waiting receiver", "message", PEERS),
    ),
)


def channels(row: Row) -> Any:
    """Return the layer of Channels."""
    return channels_layer()


def limit(row: Row) -> Any:
    """Return deques and futures."""
    if row.name.startswith("small"):
        return Mailboxes(dict.copy)
    from msgpack import packb, unpackb

    return Mailboxes(lambda message: unpackb(packb(message)))


PROGRAMS = {"ours": channels, "upstream": channels, "limit": limit}


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for sending and receiving a message."""
    make = small if row.name.startswith("small") else nested
    once = buffered if row.name.endswith("buffered") else waiting
    count = scale.count(2000 if make is small else 100, 50)

    async def measured() -> float:
        await check_layer(program, make)
        messages = [make(number) for number in range(count)]
        return await cheapest(partial(once, program, messages), scale.repetitions)

    return run(measured(), row)


async def buffered(layer: Any, messages: list[Any]) -> float:
    """Fill a channel, then empty it, and so on."""
    channel = await layer.new_channel()
    got = []
    start = cpu()
    for first in range(0, len(messages), BATCH):
        for message in messages[first : first + BATCH]:
            await layer.send(channel, message)
        got += [await layer.receive(channel) for _ in range(BATCH)]
    seconds = cpu() - start
    check_sequence("buffered messages", messages, got)
    return seconds / len(messages)


async def waiting(layer: Any, messages: list[Any]) -> float:
    """Let two tasks answer each other."""
    here, there = await layer.new_channel(), await layer.new_channel()
    got: list[Any] = []

    async def answer() -> None:
        for _ in messages:
            got.append(message := await layer.receive(there))
            await layer.send(here, message)

    task = asyncio.ensure_future(answer())
    await asyncio.sleep(0)
    answers = []
    start = cpu()
    for message in messages:
        await layer.send(there, message)
        answers.append(await layer.receive(here))
    seconds = cpu() - start
    await task
    check_sequence("messages to a waiting receiver", messages, got)
    check_sequence("answers to a waiting receiver", messages, answers)
    return seconds / len(messages) / 2
