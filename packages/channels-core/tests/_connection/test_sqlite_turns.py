"""Handlers that use SQLite, which run one after the other."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from channels_core._connection import sqlite_turns as _sqlite_turns
from fakes import call_in_handler

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
    calls = (call_in_handler(function) for _ in range(HANDLERS))
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.usefixtures("counter")
async def test_handlers_that_read_and_then_write_do_not_lose_a_write() -> None:
    def add_one() -> None:
        for _ in range(10):
            with transaction.atomic():
                write(read() + 1)

    assert await gather(add_one) == [None] * HANDLERS
    assert await call_in_handler(read) == 10 * HANDLERS


@pytest.mark.usefixtures("counter")
async def test_a_handler_that_fails_gives_its_turn_back() -> None:
    def fail() -> None:
        read()
        raise KeyError

    assert [type(result) for result in await gather(fail)] == [KeyError] * HANDLERS
    assert await call_in_handler(read) == 0


@pytest.mark.usefixtures("counter")
async def test_handlers_without_a_database_do_not_wait() -> None:
    reading, others_done = threading.Event(), threading.Event()

    def use_the_database() -> bool:
        read()
        reading.set()
        return others_done.wait(20)

    using = asyncio.ensure_future(call_in_handler(use_the_database))
    await asyncio.to_thread(reading.wait, 20)
    await call_in_handler(others_done.set)
    assert await using


@pytest.mark.usefixtures("counter")
async def test_a_site_that_sets_its_number_of_threads_has_decided(settings: Any) -> None:
    settings.CHANNELS_SYNC_THREADS = 2
    both = threading.Barrier(2, timeout=20)

    def meet() -> int:
        read()
        both.wait()
        return read()

    calls = (call_in_handler(meet) for _ in range(2))
    assert await asyncio.gather(*calls) == [0, 0]


def test_a_child_process_begins_without_a_turn() -> None:
    """What `os.fork` calls in the child, where the thread that has its turn is missing."""
    _sqlite_turns._turn.lock.acquire()
    _sqlite_turns._turn.renew()
    assert _sqlite_turns._turn.lock.acquire(blocking=False)
    _sqlite_turns._turn.renew()
