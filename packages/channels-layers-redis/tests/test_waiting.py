"""The calls that wait for messages of one channel, without a server."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from channels_layers_redis._layer.waiting import Reader


class FakeShard:
    """Confirms each subscription at once."""

    def __init__(self) -> None:
        self.hear: Callable[[bytes], object] | None = None
        self.error: Exception | None = None

    def listen(self, address: str, handler: Callable[[bytes], object]) -> asyncio.Future[None]:
        if self.error is not None:
            raise self.error
        self.hear = handler
        confirmed = asyncio.get_running_loop().create_future()
        confirmed.set_result(None)
        return confirmed

    def stop_listening(self, address: str) -> None:
        self.hear = None


class FakeStore:
    """A list of messages, which is asked only when a test says so."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.answering = asyncio.Event()
        self.asked = 0
        self.putting_back_fails = False

    async def take(self, count: int) -> list[str]:
        self.asked += 1
        await self.answering.wait()
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken

    async def put_back(self, message: str) -> None:
        if self.putting_back_fails:
            raise RedisConnectionError("away")
        self.messages.insert(0, message)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def reading(shard: FakeShard, store: FakeStore) -> Reader[str]:
    any_shard: Any = shard
    return Reader(any_shard, "jobs", store.take, store.put_back)


async def test_each_call_gets_a_message_in_order() -> None:
    shard, store = FakeShard(), FakeStore()
    store.answering.set()
    reader = reading(shard, store)
    tasks = [asyncio.create_task(reader.next()) for _ in range(3)]
    await settled()
    store.messages = ["a", "b"]
    reader.announced()
    await settled()
    store.messages = ["c", "d"]
    reader.announced()
    assert [await task for task in tasks] == ["a", "b", "c"]
    assert await reader.next() == "d"
    assert not reader.sweep()
    assert reader.sweep()
    assert shard.hear is None


async def test_an_announcement_while_it_asks_is_not_missed() -> None:
    store = FakeStore()
    reader = reading(FakeShard(), store)
    waiting = asyncio.create_task(reader.next())
    await settled()
    assert store.asked == 1
    assert not reader.sweep()
    reader.announced()
    store.answering.set()
    await settled()
    assert store.asked == 2
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    reader.announced()
    await settled()
    assert store.asked == 2  # nobody waits


async def test_a_message_whose_call_was_cancelled_goes_to_the_next_or_back() -> None:
    store = FakeStore()
    reader = reading(FakeShard(), store)
    first, second = [asyncio.create_task(reader.next()) for _ in range(2)]
    await settled()
    store.messages = ["a", "b"]
    first.cancel()
    await asyncio.sleep(0)
    store.answering.set()
    assert await second == "a"
    await settled()
    assert store.messages == ["b"]


async def test_a_message_that_was_handed_to_a_cancelled_call_is_put_back() -> None:
    store = FakeStore()
    reader = reading(FakeShard(), store)
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(reader.next())
    await settled()
    (future,) = reader._waiting
    future.set_result("a")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    store.answering.set()
    await settled()
    assert store.messages == ["a"]


async def test_calls_that_are_cancelled_in_one_turn_are_passed_over() -> None:
    store = FakeStore()
    reader = reading(FakeShard(), store)
    tasks = [asyncio.create_task(reader.next()) for _ in range(2)]
    await settled()
    for future in reader._waiting:
        future.cancel()  # as a task does that is cancelled and has not run yet
    reader._hand_over("a")
    await settled()
    assert store.messages == ["a"]
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    store.answering.set()
    await reader.close()


async def test_an_outage_is_told_to_all_and_the_next_call_tries_again() -> None:
    shard, store = FakeShard(), FakeStore()
    shard.error = RedisConnectionError("away")
    reader = reading(shard, store)
    tasks = [asyncio.create_task(reader.next()) for _ in range(2)]
    await asyncio.sleep(0)
    for future in list(reader._waiting)[1:]:
        future.cancel()
    for task, error in zip(tasks, (RedisConnectionError, asyncio.CancelledError), strict=True):
        with pytest.raises(error):
            await task
    shard.error = None
    store.messages = ["a"]
    store.answering.set()
    assert await reader.next() == "a"


async def test_closing_waits_for_what_is_under_way() -> None:
    store = FakeStore()
    reader = reading(FakeShard(), store)
    waiting = asyncio.create_task(reader.next())
    await settled()
    store.messages = ["a"]
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    asyncio.get_running_loop().call_soon(store.answering.set)
    await reader.close()
    assert store.messages == ["a"]
    store.putting_back_fails = True
    reader._return("b")
    await reader.close()
    assert store.messages == ["a"]
