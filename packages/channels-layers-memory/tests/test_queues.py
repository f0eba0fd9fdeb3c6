import asyncio
import gc
import logging
import re
from collections.abc import Coroutine
from copy import deepcopy
from typing import Any

import pytest

from channels_core.exceptions import ChannelFull
from channels_core.layer_extensions import Delivery, QueueLimits
from channels_layers_memory._layer import queues
from channels_layers_memory.layer import InMemoryChannelLayer
from fakes import Clock

AFTER, TRIES = 60, 3
OPTION = {"jobs*": {"redeliver_after": AFTER, "tries": TRIES}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layer(clock: Clock) -> InMemoryChannelLayer:
    return InMemoryChannelLayer(clock=clock, capacity=3, queues=OPTION)


async def send(layer: InMemoryChannelLayer, *numbers: int, channel: str = "jobs") -> None:
    for number in numbers:
        await layer.send(channel, {"type": "job", "n": number})


async def give(layer: InMemoryChannelLayer) -> tuple[int, int, str]:
    """Receive a delivery: the message's number, the attempt and the token."""
    async with asyncio.timeout(5):
        message, token, attempt = await layer.receive_delivery("jobs")
    return message["n"], attempt, token


async def waiting(call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def is_empty(layer: InMemoryChannelLayer, channel: str = "jobs") -> bool:
    await layer.group_count("room")  # an operation that settles what is due
    return channel not in layer.channels


def dead(number: int, error: str, attempts: int) -> dict[str, Any]:
    letter = {"channel": "jobs", "error": error, "attempts": attempts}
    return {"type": "job", "n": number, "dead": letter}


class TestDeliveries:
    async def test_one_for_each_message(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        """As a worker sees it."""
        await send(layer, 1, 2)
        first = await layer.receive_delivery("jobs")
        second = await layer.receive_delivery("jobs")
        assert first == Delivery({"type": "job", "n": 1}, first.token, 1)
        assert (second.message["n"], second.attempt) == (2, 1)
        assert await is_empty(layer)
        for delivery in (first, second):
            assert await layer.acknowledge("jobs", delivery.token)
            assert not await layer.acknowledge("jobs", delivery.token)
        clock.advance(AFTER)
        assert await is_empty(layer)

    async def test_one_that_waits(self, layer: InMemoryChannelLayer) -> None:
        tasks = [await waiting(layer.receive_delivery("jobs")) for _ in range(2)]
        await send(layer, 1, 2)
        assert [(await task).message["n"] for task in tasks] == [1, 2]

    async def test_a_cancelled_one_loses_nothing(self, layer: InMemoryChannelLayer) -> None:
        task = await waiting(layer.receive_delivery("jobs"))
        await send(layer, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await give(layer))[:2] == (1, 1)
        gone = await waiting(layer.receive_delivery("jobs"))
        gone.cancel()
        await asyncio.wait([gone])
        await send(layer, 2)
        assert (await give(layer))[:2] == (2, 1)

    def test_one_that_is_thrown_away(self, layer: InMemoryChannelLayer) -> None:
        call = layer.receive_delivery("jobs")

        async def start() -> None:
            call.send(None)
            await send(layer, 1)

        asyncio.run(start())
        call.close()
        gc.collect()
        assert asyncio.run(give(layer))[:2] == (1, 1)

    async def test_a_name_that_is_not_one(self, layer: InMemoryChannelLayer) -> None:
        with pytest.raises(TypeError, match="Channel name must be"):
            await layer.receive_delivery("a job")

    async def test_a_channel_that_is_no_queue(self, layer: InMemoryChannelLayer) -> None:
        for one in (layer, InMemoryChannelLayer()):
            assert one.queue_limits("mail") is None
            expected = (
                "InMemoryChannelLayer gives messages of channel 'mail' only once: no pattern of "
                "its option 'queues' matches that name; use receive()"
            )
            with pytest.raises(ValueError, match=re.escape(expected)):
                await one.receive_delivery("mail")
            assert not await one.acknowledge("mail", "1")
            assert not await one.reject("mail", "1", "")
            assert not await one.give_back("mail", "1")

    def test_limits(self, layer: InMemoryChannelLayer) -> None:
        assert layer.queue_limits("jobs") == QueueLimits(AFTER, TRIES)
        assert InMemoryChannelLayer(queues={"a": {}}).queue_limits("a") == QueueLimits(60, 3)
        with pytest.raises(ValueError, match=re.escape("queues['a'] must have ")):
            InMemoryChannelLayer(queues={"a": {"retries": 1}})


class TestAgain:
    async def test_after_its_time(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1, 2)
        _, _, token = await give(layer)
        clock.advance(AFTER - 1)
        assert (await give(layer))[0] == 2
        clock.advance(1)
        assert not await layer.acknowledge("jobs", token)
        assert (await give(layer))[:2] == (1, 2)

    async def test_it_comes_before_what_was_sent_later(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await send(layer, 1, 2)
        await give(layer)
        clock.advance(AFTER)
        await send(layer, 3)
        assert [(await give(layer))[0] for _ in range(3)] == [1, 2, 3]

    async def test_it_is_as_it_was(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await layer.send("jobs", {"type": "job", "list": [1]})
        for _ in range(2):
            delivery = await layer.receive_delivery("jobs")
            assert delivery.message["list"] == [1]
            delivery.message["list"].append(2)
            clock.advance(AFTER)

    async def test_a_capacity_does_not_hold_it_back(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await send(layer, 1)
        await give(layer)
        await send(layer, 2, 3, 4)
        clock.advance(AFTER)
        with pytest.raises(ChannelFull):
            await send(layer, 5)
        assert [(await give(layer))[0] for _ in range(4)] == [1, 2, 3, 4]

    async def test_who_waits_gets_it(self) -> None:
        layer = InMemoryChannelLayer(queues={"jobs": {"redeliver_after": 0.001}})
        await send(layer, 1)
        await give(layer)
        assert (await give(layer))[:2] == (1, 2)

    async def test_rejected(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        for attempt in (1, 2):
            number, got, token = await give(layer)
            assert (number, got) == (1, attempt)
            clock.advance(AFTER - 1)
            assert await layer.reject("jobs", token, "it broke")
            for answer in (layer.acknowledge, layer.give_back):
                assert not await answer("jobs", token)
            assert not await layer.reject("jobs", token, "it broke")
            assert await is_empty(layer)
            clock.advance(1)
        assert (await give(layer))[:2] == (1, 3)

    async def test_given_back(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1, 2)
        _, _, token = await give(layer)
        assert await layer.give_back("jobs", token)
        assert not await layer.give_back("jobs", token)
        assert not await layer.acknowledge("jobs", token)
        number, attempt, other = await give(layer)
        assert (number, attempt) == (1, 1)
        assert other != token
        clock.advance(AFTER)
        assert (await give(layer))[:2] == (1, 2)

    async def test_given_back_to_who_waits(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        _, _, token = await give(layer)
        task = await waiting(layer.receive_delivery("jobs"))
        assert await layer.give_back("jobs", token)
        assert (await task).attempt == 1

    async def test_a_token_belongs_to_its_channel(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        _, _, token = await give(layer)
        for answer in (layer.acknowledge, layer.give_back):
            assert not await answer("jobs.2", token)
            assert not await answer("jobs", "x")
        assert not await layer.reject("jobs.2", token, "")
        assert await layer.acknowledge("jobs", token)

    def test_a_worker_whose_loop_is_gone(self) -> None:
        layer = InMemoryChannelLayer(queues={"jobs": {"redeliver_after": 0.01}})

        async def take() -> None:
            await send(layer, 1)
            await give(layer)

        async def take_again() -> None:
            assert (await give(layer))[:2] == (1, 2)

        asyncio.run(take())
        asyncio.run(take_again())


class TestDeadLetters:
    async def test_after_the_last_attempt(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        for _ in range(TRIES):
            assert await is_empty(layer, "jobs.dead")
            await give(layer)
            clock.advance(AFTER)
        assert await is_empty(layer)
        letter = await layer.receive("jobs.dead")
        assert letter == dead(1, "was not acknowledged within 60 seconds", 3)

    async def test_at_once_if_rejected(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        for _ in range(TRIES - 1):
            await give(layer)
            clock.advance(AFTER)
        waits = await waiting(layer.receive("jobs.dead"))
        _, _, token = await give(layer)
        assert await layer.reject("jobs", token, "ValueError: 1")
        assert await waits == dead(1, "ValueError: 1", 3)
        assert not await layer.acknowledge("jobs", token)

    async def test_they_do_not_expire(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        layer = InMemoryChannelLayer(clock=clock, queues={"jobs": {"tries": 1}})
        await send(layer, 1)
        await layer.reject("jobs", (await give(layer))[2], "")
        clock.advance(10_000)
        letter = await layer.receive("jobs.dead")
        assert letter == dead(1, "was not acknowledged within 60 seconds", 1)
        await layer.send("jobs.dead", letter)
        clock.advance(10_000)
        assert await layer.receive("jobs.dead") == letter

    async def test_a_wildcard_does_not_make_them_a_queue(self, clock: Clock) -> None:
        layer = InMemoryChannelLayer(clock=clock, queues={"*": {"tries": 1}})
        await send(layer, 1)
        await layer.reject("jobs", (await give(layer))[2], "first")
        with pytest.raises(ValueError, match=r"of channel 'jobs\.dead' only"):
            await layer.receive_delivery("jobs.dead")
        clock.advance(10_000)
        assert await layer.receive("jobs.dead") == dead(1, "first", 1)

    async def test_a_reader_is_woken(self) -> None:
        layer = InMemoryChannelLayer(queues={"jobs": {"redeliver_after": 0.001, "tries": 1}})
        woken = asyncio.Event()
        take = layer.listen("jobs.dead", woken.set)
        await send(layer, 1)
        await give(layer)
        async with asyncio.timeout(5):
            await woken.wait()
        assert take() == dead(1, "was not acknowledged within 0.001 seconds", 1)

    async def test_the_oldest_are_dropped(
        self,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(queues, "DEAD_LETTERS", 2)
        layer = InMemoryChannelLayer(clock=clock, queues={"jobs*": {"tries": 1}})
        for channel in ("jobs", "jobs!1"):
            for number in range(4):
                await send(layer, number, channel=channel)
                _, token, _ = await layer.receive_delivery(channel)
                with caplog.at_level(logging.WARNING):
                    assert await layer.reject(channel, token, "no")
            letters = [await layer.receive(f"{channel}.dead") for _ in range(2)]
            assert [letter["n"] for letter in letters] == [2, 3]
            assert await is_empty(layer, f"{channel}.dead")
        (record,) = caplog.records
        assert record.getMessage() == (
            "Channel 'jobs.dead' holds 10000 dead letters: the oldest 1 dropped since the last "
            "warning. Receive them, or find out why the jobs fail."
        )


class TestTheStore:
    async def test_messages_do_not_expire(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        await layer.send("mail", {"type": "a"})
        clock.advance(10_000)
        assert await is_empty(layer, "mail")
        assert (await give(layer))[0] == 1

    async def test_capacity(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1, 2, 3)
        with pytest.raises(ChannelFull):
            await send(layer, 4)
        assert [(await give(layer))[0] for _ in range(3)] == [1, 2, 3]

    async def test_receive_takes_it_once(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        await send(layer, 1)
        assert (await layer.receive("jobs"))["n"] == 1
        clock.advance(AFTER)
        assert await is_empty(layer)

    async def test_receive_of_one_that_failed(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await send(layer, 1)
        await give(layer)
        clock.advance(AFTER)
        await layer.group_count("room")
        assert (await layer.receive("jobs"))["n"] == 1
        clock.advance(AFTER)
        assert await is_empty(layer)

    async def test_a_cancelled_receive_puts_it_back(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        del layer.channels["jobs"]
        task = await waiting(layer.receive("jobs"))
        await send(layer, 2)
        del layer.channels["jobs"]
        task.cancel()
        await asyncio.wait([task])
        await send(layer, 3)
        assert [(await give(layer))[0] for _ in range(2)] == [2, 3]

    async def test_a_queue_may_be_in_a_group(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        for channel in ("jobs", "mail"):
            await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "job", "n": 1})
        clock.advance(10_000)
        assert await is_empty(layer, "mail")
        assert (await give(layer))[:2] == (1, 1)

    async def test_a_flush_drops_what_workers_have(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await send(layer, 1, 2)
        _, _, token = await give(layer)
        await layer.flush()
        assert not await layer.acknowledge("jobs", token)
        clock.advance(AFTER)
        assert await is_empty(layer)

    async def test_a_forgotten_channel(self, layer: InMemoryChannelLayer, clock: Clock) -> None:
        for channel in ("jobs", "jobs.2"):
            await send(layer, 1, 2, channel=channel)
        _, _, token = await give(layer)
        other = await layer.receive_delivery("jobs.2")
        await layer.forget_channel("jobs")
        await layer.forget_channel("mail")
        assert not await layer.acknowledge("jobs", token)
        assert await is_empty(layer)
        assert await layer.acknowledge("jobs.2", other.token)
        _ = await layer.receive_delivery("jobs.2")
        del layer.channels["jobs.2"]
        clock.advance(AFTER)
        assert await is_empty(layer, "jobs.2")

    async def test_a_copy_has_its_own(self, layer: InMemoryChannelLayer) -> None:
        await send(layer, 1)
        copied = deepcopy(layer)
        await send(copied, 2)
        assert (await give(copied))[0] == 2
        assert (await give(layer))[0] == 1

    async def test_a_child_process_starts_anew(
        self, layer: InMemoryChannelLayer, clock: Clock
    ) -> None:
        await send(layer, 1)
        await give(layer)
        layer._store.start_anew()  # as in each process that is forked from this one
        clock.advance(AFTER)
        assert await is_empty(layer)
        await send(layer, 2)
        assert (await give(layer))[0] == 2

    async def test_ping(self, layer: InMemoryChannelLayer) -> None:
        await layer.ping()
