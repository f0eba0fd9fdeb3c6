import asyncio
import logging
from typing import Any

import pytest

from channels_core._worker.reader import ChannelReader
from channels_core.exceptions import WorkerError
from fakes import LocalLayer, Sleeps, until

JOB = {"type": "job"}


class Broken(LocalLayer):
    """A layer whose calls of `receive` do what the test says, one after the other.

    It returns or raises that. With None it waits until it is cancelled; what is in a list it
    waits with, and returns or raises it when it is cancelled.
    """

    def __init__(self, *calls: Any) -> None:
        super().__init__()
        self.steps = list(calls)
        self.started = 0
        self.cancelled = 0

    async def receive(self, channel: str) -> Any:
        self.started += 1
        step = self.steps.pop(0)
        if step is None or isinstance(step, list):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                if step is None:
                    raise
                step = step[0]
        if isinstance(step, BaseException):
            raise step
        return step


class Listener:
    def __init__(self, layer: Any, limit: float = 60) -> None:
        self.layer = layer
        self.stopped = asyncio.Event()
        self.sleeps = Sleeps()
        self.now = 0.0
        self.reader = ChannelReader(
            layer,
            "a",
            self.stopped,
            max_outage=limit,
            sleep=self.sleeps,
            clock=lambda: self.now,
            jitter=lambda: 1.0,
        )
        self.task: asyncio.Task[Any]

    async def work(self) -> None:
        """Let the layer work once, so that what fails now is not its first attempt."""
        self.layer.steps.insert(0, JOB)
        assert await self.start() == JOB
        self.layer.started = 0

    def start(self) -> "asyncio.Task[Any]":
        self.task = asyncio.ensure_future(self.reader.next())
        return self.task


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    assert {record.name for record in caplog.records} <= {"django.channels.worker"}
    return [(record.levelname, record.getMessage()) for record in caplog.records]


async def test_it_returns_one_message_after_the_other() -> None:
    layer = LocalLayer()
    listener = Listener(layer)
    for number in range(3):
        await layer.send("a", {"type": "job", "number": number})
    numbers = [(await listener.start())["number"] for _ in range(3)]
    assert numbers == [0, 1, 2]
    assert listener.sleeps.asked == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"text": "secret"}, "has no 'type'"),
        ({"type": ""}, "has an empty 'type'"),
        ({"type": 7}, "has a 'type' that is not a str: int"),
        (["secret"], "is a list, not a dict"),
    ],
)
async def test_what_has_no_type_is_logged_and_skipped(
    message: Any, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    layer = LocalLayer()
    layer.queues["a"].put_nowait(message)
    layer.queues["a"].put_nowait(JOB)
    assert await Listener(layer).start() == JOB
    assert told(caplog) == [("ERROR", f"A message from channel 'a' {fault}; it is skipped")]


async def test_the_readers_of_a_worker_log_an_outage_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    error = ConnectionError("no server")
    layer = Broken(error, error, JOB, JOB)
    listener = Listener(layer)
    failing: set[str] = set()
    readers = [
        ChannelReader(
            layer,
            channel,
            listener.stopped,
            max_outage=60,
            failing=failing,
            sleep=listener.sleeps,
            clock=lambda: 0.0,
            jitter=lambda: 1.0,
        )
        for channel in ("a", "b")
    ]
    tasks = [asyncio.ensure_future(reader.next()) for reader in readers]
    await until(lambda: len(listener.sleeps.asked) == 2)
    for _ in tasks:
        await listener.sleeps.wake(0.2)
    assert await asyncio.gather(*tasks) == [JOB, JOB]
    (level, text), (last_level, last) = told(caplog)
    assert (level, last_level) == ("WARNING", "INFO")
    assert (
        text
        == "The channel layer failed for channel 'a' and is tried again: ConnectionError: no server"
    )
    assert last.startswith("The channel layer works again for channel ")


async def test_a_layer_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    error = ConnectionError("no server")
    layer = Broken(error, error, error, error, JOB)
    listener = Listener(layer)
    await listener.work()
    listener.start()
    for wait in (0.2, 0.4, 0.8, 1.6):
        await listener.sleeps.wake(wait)
    assert await listener.task == JOB
    [warning, info] = told(caplog)
    assert warning == (
        "WARNING",
        "The channel layer failed for channel 'a' and is tried again: ConnectionError: no server",
    )
    assert info == ("INFO", "The channel layer works again for channel 'a', after 4 failures")


async def test_each_streak_of_failures_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    error = ConnectionError("no server")
    listener = Listener(Broken(error, JOB, error, JOB))
    await listener.work()
    for _ in range(2):
        listener.start()
        await listener.sleeps.wake(0.2)
        await listener.task
    assert [level for level, _ in told(caplog)] == ["WARNING", "INFO"] * 2


async def test_a_layer_that_waits_long_enough_works(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    error = ConnectionError("no server")
    layer = Broken(error, None)
    listener = Listener(layer, limit=5)
    await listener.work()
    listener.start()
    await listener.sleeps.wake(0.2)
    await listener.sleeps.wake(3)
    await until(lambda: len(caplog.records) == 2)
    assert "works again" in caplog.text
    # An outage that is over does not count towards the limit.
    listener.now = 3600
    listener.stopped.set()
    await listener.sleeps.wake(1)
    assert await listener.task is None


async def test_a_stop_ends_the_wait_for_a_layer_to_work(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    layer = Broken(ConnectionError("no server"), None)
    listener = Listener(layer)
    await listener.work()
    listener.start()
    await listener.sleeps.wake(0.2)
    await listener.sleeps.wait_for(3)
    listener.stopped.set()
    await listener.sleeps.wake(1)
    assert await listener.task is None
    assert "works again" not in caplog.text


async def test_it_gives_up_after_the_limit() -> None:
    error = ConnectionError("no server")
    listener = Listener(Broken(error, error), limit=30)
    await listener.work()
    listener.start()
    await listener.sleeps.wait_for(0.2)
    listener.now = 30
    await listener.sleeps.wake(0.2)
    with pytest.raises(WorkerError) as caught:
        await listener.task
    assert str(caught.value) == (
        "The channel layer has failed 2 times within 30 seconds for channel 'a', the last time "
        "with ConnectionError: no server"
    )
    assert caught.value.__cause__ is error


async def test_a_layer_that_cancels_itself_is_a_failure_as_any_other() -> None:
    layer = Broken(asyncio.CancelledError(), JOB)
    listener = Listener(layer)
    await listener.work()
    listener.start()
    await listener.sleeps.wake(0.2)
    assert await listener.task == JOB


async def test_a_first_receive_that_failed_is_begun_anew() -> None:
    """Otherwise a layer of channels-redis would wait for a channel it has not subscribed to."""
    layer = Broken(ConnectionError("no server"), None, JOB)
    listener = Listener(layer)
    listener.start()
    await until(lambda: layer.cancelled == 1)
    await listener.sleeps.wake(0.2)
    assert await listener.task == JOB
    assert layer.started == 3


@pytest.mark.parametrize("second", [JOB, ConnectionError("no server")])
async def test_what_that_brings_at_once_is_not_lost(second: Any) -> None:
    layer = Broken(ConnectionError("no server"), second, JOB)
    listener = Listener(layer)
    listener.start()
    await listener.sleeps.wake(0.2)
    assert await listener.task == JOB
    assert layer.started == (2 if second is JOB else 3)


async def test_it_does_not_begin_after_the_stop() -> None:
    layer = Broken()
    listener = Listener(layer)
    listener.stopped.set()
    assert await listener.start() is None
    assert layer.started == 0


async def test_a_stop_gives_a_receive_under_way_a_moment() -> None:
    layer = LocalLayer()
    listener = Listener(layer)
    listener.start()
    await until(lambda: "a" in layer.queues)
    listener.stopped.set()
    await listener.sleeps.wait_for(1)
    await layer.send("a", JOB)
    assert await listener.task == JOB
    assert listener.sleeps.asked == [1]


async def test_after_that_moment_it_is_cancelled() -> None:
    layer = LocalLayer()
    listener = Listener(layer)
    listener.start()
    await until(lambda: "a" in layer.queues)
    listener.stopped.set()
    await listener.sleeps.wake(1)
    assert await listener.task is None
    await layer.send("a", JOB)
    assert layer.queues["a"].qsize() == 1


async def test_what_a_cancelled_receive_brings_all_the_same_is_not_lost() -> None:
    layer = Broken([JOB])
    listener = Listener(layer)
    listener.start()
    await until(lambda: layer.started == 1)
    listener.stopped.set()
    await listener.sleeps.wake(1)
    assert await listener.task == JOB


async def test_a_failure_after_the_stop_is_of_no_interest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = Broken([ConnectionError("no server")])
    listener = Listener(layer)
    listener.start()
    await until(lambda: layer.started == 1)
    listener.stopped.set()
    await listener.sleeps.wake(1)
    assert await listener.task is None
    assert told(caplog) == []


async def test_a_stop_ends_the_pause_after_a_failure() -> None:
    layer = Broken(ConnectionError("no server"))
    listener = Listener(layer)
    await listener.work()
    listener.start()
    await listener.sleeps.wait_for(0.2)
    listener.stopped.set()
    assert await listener.task is None
    assert layer.started == 1


async def test_a_cancellation_ends_all_of_it() -> None:
    layer = Broken(None)
    listener = Listener(layer)
    listener.start()
    await until(lambda: layer.started == 1)
    listener.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener.task
    assert layer.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
