"""Connections, broadcasts, errors and departures, again and again: nothing may pile up."""

import asyncio
import gc
import logging
import threading
import time
import tracemalloc
from typing import Any, NamedTuple

from benchmarks.case import Case, Row, Scale
from benchmarks.cases.memory import resident
from benchmarks.clients import Client
from benchmarks.clock import cpu, run
from benchmarks.honesty import DishonestError, check_equal, check_sequence
from benchmarks.site import MEMORY, set_up

CASE = Case(
    number=11,
    title="Soak",
    method="For 20 seconds, or as many minutes as `--soak` says: 40 async and 10 sync "
    "connections join a room, receive broadcasts, and end in turn by leaving, by an error in "
    "a handler, or by cancellation. When a set of connections has ended, tasks, groups and "
    "objects must be as many as before, threads no more than the pools may have, and the "
    "resident memory may not have grown since the first quarter. After that, 1,000 "
    "connections may leave 100 bytes each at most, counted by tracemalloc.",
    rows=(
        Row(
            "connections",
            "soak: connections that come, fail and go",
            "connection",
            ("ours", "limit"),
            rounds=1,
            timeout=300,
            soaks=True,
        ),
    ),
)

ASYNC, SYNC = 40, 10
BROADCASTS = 5
#: The most by which the resident memory may grow after the first quarter, for buffers and caches of
#: the interpreter. A leak of 100 bytes for a connection is more, in a minute.
TOLERANCE = 2 * 1024 * 1024
#: How many sets of connections have their memory traced at the end, in the short form, too, and the
#: bytes that each connection may leave.
TRACED = 20
LEFT = 100
#: By how many the threads may grow after the warm-up. A pool makes a thread when all others are
#: busy, so the last ones may come late. More than the pools can have is a leak.
LATE_THREADS = 16


class Room:
    """Two applications, and how a message gets to all their connections."""

    def __init__(self, asynchronous: Any, synchronous: Any, broadcast: Any, groups: Any) -> None:
        self.asynchronous = asynchronous
        self.synchronous = synchronous
        self.broadcast = broadcast
        self.groups = groups


def channels(row: Row) -> Any:
    """Return consumers of Channels in a group."""
    set_up(CHANNEL_LAYERS=MEMORY)
    # Each error of a handler is logged. They are on purpose.
    logging.disable()
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from channels.layers import get_channel_layer

    class Member(AsyncWebsocketConsumer):
        groups = ["room"]

        async def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            raise RuntimeError(text_data)

        async def chat_message(self, event: Any) -> None:
            await self.send(text_data=event["text"])

    class SyncMember(WebsocketConsumer):
        groups = ["room"]

        def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
            raise RuntimeError(text_data)

        def chat_message(self, event: Any) -> None:
            self.send(text_data=event["text"])

    layer: Any = get_channel_layer()

    async def broadcast(text: str) -> None:
        await layer.group_send("room", {"type": "chat.message", "text": text})

    return Room(Member.as_asgi(), SyncMember.as_asgi(), broadcast, lambda: len(layer.groups))


def limit(row: Row) -> Any:
    """Return a set of `send` functions."""
    members: set[Any] = set()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        members.add(send)
        try:
            while (message := await receive())["type"] != "websocket.disconnect":
                raise RuntimeError(message["text"])
        finally:
            members.remove(send)

    async def broadcast(text: str) -> None:
        for send in members:
            await send({"type": "websocket.send", "text": text})

    return Room(application, application, broadcast, lambda: len(members))


PROGRAMS = {"ours": channels, "limit": limit}


class State(NamedTuple):
    """What may not pile up."""

    tasks: int
    threads: int
    groups: int
    objects: int


def measure(program: Any, row: Row, scale: Scale) -> float:
    """Return the CPU seconds for one connection."""
    seconds = scale.soak * 60 or scale.count(20, 3)
    return run(soak(program, seconds), row, more=scale.more(row))


async def soak(room: Room, seconds: float) -> float:
    """Let sets of connections come and go."""
    for number in range(10):
        await connections(room, number)
    before = await current(room)
    memory = 0
    begin, start, number = time.monotonic(), cpu(), 0
    while (passed := time.monotonic() - begin) < seconds or not number:
        await connections(room, number)
        number += 1
        if number % 20 == 0:
            check(before, await current(room))
        if passed < seconds / 4 or not memory:
            memory = max(memory, resident())
    figure = (cpu() - start) / number / (ASYNC + SYNC)
    check(before, await current(room))
    if (grown := resident() - memory) > TOLERANCE:
        raise DishonestError(f"memory: grown by {grown:,} bytes over {number} sets of connections")
    await trace(room)
    return figure


async def trace(room: Room) -> None:
    """Check that connections leave no memory, to the byte.

    Unlike the resident memory, this shows a small leak after few connections. But it makes
    everything slower, so it comes after what is measured.

    Raises:
        DishonestError: They do.
    """
    tracemalloc.start()
    try:
        # What replaces objects that were made before the start would look like new ones.
        for number in range(TRACED // 2):
            await connections(room, number)
        await current(room)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(TRACED):
            await connections(room, number)
        await current(room)
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    each = (now - before) / TRACED / (ASYNC + SYNC)
    if each > LEFT:
        raise DishonestError(f"memory: each connection leaves {each:.0f} bytes")


def check(before: State, now: State) -> None:
    """Check that nothing has piled up.

    Raises:
        DishonestError: Something has.
    """
    for what in ("tasks", "groups"):
        check_equal(what, getattr(before, what), getattr(now, what))
    if now.threads > before.threads + LATE_THREADS:
        raise DishonestError(f"threads: {before.threads} before, {now.threads} now")
    # Some may wait in free lists and caches, but not one for each connection.
    if now.objects > before.objects + 500:
        raise DishonestError(f"objects: {before.objects} before, {now.objects} now")


async def current(room: Room) -> State:
    """Return the state when everything has settled."""
    for _ in range(10):
        await asyncio.sleep(0.01)
    gc.collect()
    return State(
        len(asyncio.all_tasks()), threading.active_count(), room.groups(), len(gc.get_objects())
    )


async def connections(room: Room, number: int) -> None:
    """Let one set of connections come, listen, and go in three ways."""
    clients = [Client(room.asynchronous) for _ in range(ASYNC)]
    clients += [Client(room.synchronous) for _ in range(SYNC)]
    for client in clients:
        await client.accepted()
    texts = [f"set {number}, broadcast {each}" for each in range(BROADCASTS)]
    for text in texts:
        await room.broadcast(text)
    for client in clients:
        try:
            await client.until(BROADCASTS + 1)
        finally:
            # Also when `run` ends the wait for a broadcast that was lost.
            check_sequence("broadcasts that a client received", texts, client.texts())
    for way, client in enumerate(clients):
        if way % 3 == 0:
            client.feed({"type": "websocket.disconnect", "code": 1001, "reason": ""})
        elif way % 3 == 1:
            client.feed({"type": "websocket.receive", "text": "fail"})
        else:
            client.task.cancel()
    ended = await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
    kinds = [type(one) for one in ended]
    expected = [
        (type(None), RuntimeError, asyncio.CancelledError)[way % 3] for way in range(len(kinds))
    ]
    check_equal("how connections ended", expected, kinds)
