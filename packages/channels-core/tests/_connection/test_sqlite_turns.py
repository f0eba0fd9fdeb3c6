import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from channels_core._connection import sqlite_turns as _sqlite_turns
from channels_core._connection.threads import ThreadCall, run_in_thread
from channels_core.consumer import SyncConsumer

HANDLERS = 10


@pytest.fixture
def counter(transactional_db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (value integer)")
        cursor.execute("INSERT INTO counter VALUES (0)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE counter")


def read() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM counter")
        value: int = cursor.fetchone()[0]
        return value


def write(value: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET value = %s", [value])


async def gather(function: Any) -> list[Any]:
    calls = (run_in_thread(ThreadCall(function, ())) for _ in range(HANDLERS))
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.usefixtures("counter")
async def test_handlers_that_read_and_then_write_lose_nothing() -> None:
    def add_one() -> None:
        for _ in range(10):
            with transaction.atomic():
                write(read() + 1)

    assert await gather(add_one) == [None] * HANDLERS
    assert await run_in_thread(ThreadCall(read, ())) == 10 * HANDLERS


@pytest.mark.usefixtures("counter")
async def test_handlers_of_consumers_do_so_too() -> None:
    class Counter(SyncConsumer):
        channel_layer_alias = None

        def counter_add(self, message: Any) -> None:
            write(read() + 1)
            self.send({"type": "counter.added"})

    async def connection_of_one() -> None:
        messages: asyncio.Queue[Any] = asyncio.Queue()
        answered = asyncio.Event()

        async def send(message: Any) -> None:
            answered.set()

        messages.put_nowait({"type": "counter.add"})
        task = asyncio.create_task(Counter()({"type": "counter"}, messages.get, send))
        async with asyncio.timeout(20):
            await answered.wait()
        task.cancel()
        await asyncio.wait([task])

    await asyncio.gather(*(connection_of_one() for _ in range(HANDLERS)))
    assert await run_in_thread(ThreadCall(read, ())) == HANDLERS


@pytest.mark.usefixtures("counter")
async def test_a_handler_that_fails_gives_its_turn_back() -> None:
    def fail() -> None:
        read()
        raise KeyError

    assert [type(result) for result in await gather(fail)] == [KeyError] * HANDLERS
    assert await run_in_thread(ThreadCall(read, ())) == 0


@pytest.mark.usefixtures("counter")
async def test_handlers_that_leave_the_database_alone_wait_for_nobody() -> None:
    reading, others_done = threading.Event(), threading.Event()

    def use_the_database() -> bool:
        read()
        reading.set()
        return others_done.wait(20)

    using = asyncio.ensure_future(run_in_thread(ThreadCall(use_the_database, ())))
    await asyncio.to_thread(reading.wait, 20)
    await run_in_thread(ThreadCall(others_done.set, ()))
    assert await using


@pytest.mark.usefixtures("counter")
async def test_a_site_that_sets_its_number_of_threads_has_decided(settings: Any) -> None:
    settings.CHANNELS_SYNC_THREADS = 2
    both = threading.Barrier(2, timeout=20)

    def meet() -> int:
        read()
        both.wait()
        return read()

    calls = (run_in_thread(ThreadCall(meet, ())) for _ in range(2))
    assert await asyncio.gather(*calls) == [0, 0]


def test_a_child_process_takes_no_turn_over() -> None:
    """What `os.fork` calls in the child, where the thread that has its turn is missing."""
    _sqlite_turns._turn.lock.acquire()
    _sqlite_turns._turn.renew()
    assert _sqlite_turns._turn.lock.acquire(blocking=False)
    _sqlite_turns._turn.renew()
