"""Workers on channels whose messages are given again until they are acknowledged."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from channels_core._worker import acknowledgements
from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.exceptions import StopConsumer
from channels_core.layer_extensions import Delivery, QueueLimits
from channels_core.layers import channel_layers
from channels_core.typing import Receive, Scope, Send
from channels_core.worker import Worker
from fakes import LocalLayer, Sleeps, until

AWAY = ConnectionError("no store")
LIMITS = QueueLimits(redeliver_after=60.0, tries=3)


class AckLayer(LocalLayer):
    """A layer that gives messages of `jobs` again; it has no timer, so the test says when."""

    extensions: ClassVar[list[str]] = ["groups", "flush", "acks"]

    def __init__(self) -> None:
        super().__init__()
        self.waiting: defaultdict[str, deque[tuple[dict[str, Any], int]]] = defaultdict(deque)
        self.under_way: dict[str, tuple[dict[str, Any], int]] = {}
        self.errors: list[str] = []
        self.closed = False
        self._arrived = asyncio.Event()
        self._tokens = iter(range(1, 1000))

    def queue_limits(self, channel: str) -> QueueLimits | None:
        return LIMITS if channel.startswith("jobs") else None

    async def send(self, channel: str, message: Any) -> None:
        if self.queue_limits(channel) is None:
            await super().send(channel, message)
            return
        self.waiting[channel].append((dict(message), 1))
        self._arrived.set()

    async def receive(self, channel: str) -> Any:
        assert self.queue_limits(channel) is None
        return await super().receive(channel)

    async def receive_delivery(self, channel: str) -> Delivery:
        self._called("receive_delivery", channel)
        while not self.waiting[channel]:
            self._arrived.clear()
            await self._arrived.wait()
        message, attempt = self.waiting[channel].popleft()
        token = str(next(self._tokens))
        self.under_way[token] = message, attempt
        return Delivery(message, token, attempt)

    def lose(self) -> None:
        """Give all messages under way again, since their time is over."""
        for message, attempt in self.under_way.values():
            self.waiting["jobs"].append((message, attempt + 1))
        self.under_way.clear()
        self._arrived.set()

    async def acknowledge(self, channel: str, token: str) -> bool:
        self._called("acknowledge", token)
        return self.under_way.pop(token, None) is not None

    async def reject(self, channel: str, token: str, error: str) -> bool:
        self._called("reject", token)
        self.errors.append(error)
        return self.under_way.pop(token, None) is not None

    async def give_back(self, channel: str, token: str) -> bool:
        self._called("give_back", token)
        if token not in self.under_way:
            return False
        self.waiting[channel].appendleft(self.under_way.pop(token))
        return True

    async def close(self) -> None:
        self.closed = True

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.calls)


@pytest.fixture
def layer() -> Iterator[AckLayer]:
    layer = AckLayer()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "django.channels")
    return caplog


class Running:
    """A worker that runs in the test's event loop, with a clock of its own."""

    def __init__(self, application: Any, layer: Any, *channels: str, **options: Any) -> None:
        self.sleeps = Sleeps()
        self.now = 0.0
        self.worker = Worker(
            application,
            channels or ["jobs"],
            layer,
            sleep=self.sleeps,
            clock=lambda: self.now,
            **options,
        )
        self.task = asyncio.ensure_future(self.worker.arun())

    async def stop(self) -> None:
        self.worker.stop()
        await self.task


class Jobs(AsyncConsumer):
    """Handles messages as they say."""

    async def job(self, message: Any) -> None:
        await message["handle"]()


def job(handle: Any = None) -> dict[str, Any]:
    async def nothing() -> None:
        pass

    return {"type": "job", "handle": handle or nothing}


async def test_a_message_is_acknowledged_once_it_is_handled(layer: AckLayer) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handle() -> None:
        begun.set()
        await gate.wait()

    await layer.send("jobs", job(handle))
    running = Running(Jobs.as_asgi(), layer)
    await begun.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not layer.count("acknowledge")
    gate.set()
    await until(lambda: layer.count("acknowledge") == 1)
    assert not layer.under_way
    await running.stop()
    assert layer.closed


async def test_each_message_is_acknowledged_once(layer: AckLayer) -> None:
    for _ in range(25):
        await layer.send("jobs", job())
    running = Running(Jobs.as_asgi(), layer, concurrency=3)
    await until(lambda: layer.count("acknowledge") == 25)
    await running.stop()
    tokens = [call[1] for call in layer.calls if call[0] == "acknowledge"]
    assert len(set(tokens)) == 25
    assert not layer.under_way


async def test_in_a_sync_consumer(layer: AckLayer) -> None:
    class Sync(SyncConsumer):
        def job(self, message: Any) -> None:
            pass

    await layer.send("jobs", job())
    running = Running(Sync.as_asgi(), layer)
    await until(lambda: layer.count("acknowledge") == 1)
    await running.stop()


async def test_one_that_fails_is_rejected_with_its_error(layer: AckLayer, log: Any) -> None:
    async def fail() -> None:
        raise LookupError("no such picture")

    async def fail_silently() -> None:
        raise ValueError

    async def fail_at_length() -> None:
        raise ValueError("x" * 5000)

    await layer.send("jobs", job(fail))
    await layer.send("jobs", job(fail_silently))
    await layer.send("jobs", job(fail_at_length))
    running = Running(Jobs.as_asgi(), layer, concurrency=1)
    await until(lambda: len(layer.errors) == 3)
    assert layer.errors[:2] == ["LookupError: no such picture", "ValueError"]
    assert len(layer.errors[2]) == 1000
    assert len(log.records) == 3
    await running.stop()
    assert not layer.count("acknowledge")


async def test_a_consumer_that_stops_has_handled_its_message(layer: AckLayer) -> None:
    async def stop() -> None:
        raise StopConsumer

    await layer.send("jobs", job(stop))
    running = Running(Jobs.as_asgi(), layer)
    await until(lambda: layer.count("acknowledge") == 1)
    await running.stop()


async def test_an_application_that_returns_has_handled_its_message(layer: AckLayer) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    await layer.send("jobs", job())
    running = Running(application, layer)
    await until(lambda: layer.count("acknowledge") == 1)
    await running.stop()


async def test_one_that_nobody_asks_for_is_rejected(layer: AckLayer, log: Any) -> None:
    """It is not given back: such an application would get it again at once, for ever."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    await layer.send("jobs", job())
    running = Running(application, layer)
    await until(lambda: layer.errors != [])
    assert layer.errors == ["The application ended without having asked for it"]
    assert log.messages == [
        (
            "A message of type 'job' from channel 'jobs' is not handled: the application ended "
            "without having asked for it"
        )
    ]
    await running.stop()


async def test_one_whose_application_fails_before_it_asks_is_rejected(layer: AckLayer) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("at the start")

    await layer.send("jobs", job())
    running = Running(application, layer)
    await until(lambda: layer.errors != [])
    assert layer.errors == ["RuntimeError: at the start"]
    await running.stop()


async def test_one_that_is_cancelled_from_within_is_rejected(layer: AckLayer) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise asyncio.CancelledError

    await layer.send("jobs", job())
    running = Running(application, layer)
    await until(lambda: layer.errors != [])
    assert layer.errors == ["The application was cancelled from within"]
    await running.stop()


async def test_a_later_message_of_an_instance_that_ends_gets_another_one(layer: AckLayer) -> None:
    """It was given to an idle instance, which ends before it can see it."""
    idle, ends = asyncio.Event(), asyncio.Event()
    handled: list[Any] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if handled:
            handled.append(await receive())
            return
        handled.append(await receive())
        asking = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        idle.set()
        await ends.wait()
        asking.cancel()
        await asyncio.wait([asking])
        raise RuntimeError("idle for too long")

    await layer.send("jobs", job())
    running = Running(application, layer, concurrency=1)
    await idle.wait()
    await until(lambda: layer.count("acknowledge") == 1)
    ends.set()
    await layer.send("jobs", job())
    await until(lambda: layer.count("acknowledge") == 2)
    assert len(handled) == 2
    assert layer.errors == []
    await running.stop()


async def test_a_worker_that_stops_gives_back_what_is_cut_off(layer: AckLayer, log: Any) -> None:
    begun = asyncio.Event()

    async def handle() -> None:
        begun.set()
        await asyncio.Event().wait()

    await layer.send("jobs", job(handle))
    running = Running(Jobs.as_asgi(), layer, graceful_timeout=0)
    await begun.wait()
    await running.stop()
    ((_, attempt),) = layer.waiting["jobs"]
    assert attempt == 1
    assert not layer.under_way
    assert layer.closed


async def test_a_worker_that_stops_finishes_what_it_can(layer: AckLayer) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handle() -> None:
        begun.set()
        await gate.wait()

    await layer.send("jobs", job(handle))
    running = Running(Jobs.as_asgi(), layer)
    await begun.wait()
    running.worker.stop()
    gate.set()
    await running.task
    assert layer.count("acknowledge") == 1
    assert layer.count("give_back") == 0


async def test_one_that_comes_while_the_worker_is_cancelled_is_given_back(
    layer: AckLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def receive_delivery(channel: str) -> Delivery:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            layer.under_way["late"] = job(), 1
            return Delivery(job(), "late", 1)
        raise AssertionError

    monkeypatch.setattr(layer, "receive_delivery", receive_delivery)
    running = Running(Jobs.as_asgi(), layer)
    await asked.wait()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert layer.calls[-1] == ("give_back", "late")
    assert layer.waiting["jobs"]


async def test_a_worker_that_is_cancelled_while_it_waits_gives_nothing_back(
    layer: AckLayer,
) -> None:
    running = Running(Jobs.as_asgi(), layer)
    await until(lambda: layer.count("receive_delivery") == 1)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert not layer.count("give_back")


async def test_what_is_no_message_is_rejected(layer: AckLayer, log: Any) -> None:
    layer.waiting["jobs"].append(({"text": "secret"}, 1))
    running = Running(Jobs.as_asgi(), layer)
    await until(lambda: layer.errors != [])
    assert layer.errors == ["The message has no 'type'"]
    assert log.messages == ["A message from channel 'jobs' has no 'type'; it is skipped"]
    await running.stop()


async def test_other_channels_of_the_layer_are_received_as_before(layer: AckLayer) -> None:
    handled = asyncio.Event()

    async def handle() -> None:
        handled.set()

    await layer.send("mail", job(handle))
    running = Running(Jobs.as_asgi(), layer, "mail")
    await handled.wait()
    running.worker.stop()
    # A `receive` that is cancelled may lose a message, so it gets a last moment.
    await running.sleeps.wake(1.0)
    await running.task
    assert not layer.count("receive_delivery")
    assert not layer.count("acknowledge")


async def test_the_waiting_for_a_delivery_ends_at_once_when_the_worker_stops(
    layer: AckLayer,
) -> None:
    running = Running(Jobs.as_asgi(), layer)
    await until(lambda: layer.count("receive_delivery") == 1)
    await running.stop()
    assert running.sleeps.asked == []


async def test_one_that_took_too_long_is_logged_once(layer: AckLayer, log: Any) -> None:
    async def handle() -> None:
        layer.under_way.clear()

    for _ in range(3):
        await layer.send("jobs", job(handle))
    running = Running(Jobs.as_asgi(), layer, concurrency=1)
    await until(lambda: layer.count("acknowledge") == 3)
    await running.stop()
    (line,) = log.messages
    assert line.startswith(
        "A message of channel 'jobs' was handled later than redeliver_after (60.0 seconds), so it "
    )
    assert "raise redeliver_after in the layer's option 'queues'" in line


class TestOutage:
    async def test_an_acknowledgement_is_repeated(self, layer: AckLayer, log: Any) -> None:
        layer.faults["acknowledge"] = AWAY
        await layer.send("jobs", job())
        running = Running(Jobs.as_asgi(), layer)
        await until(lambda: bool(running.sleeps.asked))
        layer.faults.clear()
        (seconds,) = running.sleeps.asked
        await running.sleeps.wake(seconds)
        await until(lambda: layer.count("acknowledge") == 2)
        await running.stop()
        assert not layer.under_way
        assert not log.records

    async def test_one_whose_answer_was_lost_is_not_late(self, layer: AckLayer, log: Any) -> None:
        layer.faults["acknowledge"] = AWAY
        await layer.send("jobs", job())
        running = Running(Jobs.as_asgi(), layer)
        await until(lambda: bool(running.sleeps.asked))
        layer.faults.clear()
        layer.under_way.clear()
        await running.sleeps.wake(running.sleeps.asked[0])
        await until(lambda: layer.count("acknowledge") == 2)
        await running.stop()
        assert not log.records

    async def test_it_is_given_up_after_a_while(self, layer: AckLayer, log: Any) -> None:
        layer.faults["acknowledge"] = AWAY
        await layer.send("jobs", job())
        running = Running(Jobs.as_asgi(), layer, max_outage=30)
        await until(lambda: bool(running.sleeps.asked))
        running.now = 31
        await running.sleeps.wake(running.sleeps.asked[0])
        await until(lambda: log.records != [])
        assert log.messages == [
            (
                "acknowledge failed for a message of channel 'jobs', which is given again: "
                "ConnectionError: no store"
            )
        ]
        assert log.records[0].exc_info is None
        await running.stop()

    async def test_a_fault_is_not_repeated(self, layer: AckLayer, log: Any) -> None:
        layer.faults["acknowledge"] = KeyError("a bug")
        await layer.send("jobs", job())
        running = Running(Jobs.as_asgi(), layer)
        await until(lambda: log.records != [])
        assert log.records[0].exc_info
        await running.stop()
        assert layer.count("acknowledge") == 1

    async def test_at_the_end_it_is_not_waited_for_without_a_bound(
        self, layer: AckLayer, log: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(acknowledgements, "_LAST_CALLS", 0.01)
        layer.faults["acknowledge"] = AWAY
        await layer.send("jobs", job())
        running = Running(Jobs.as_asgi(), layer)
        await until(lambda: bool(running.sleeps.asked))
        await running.stop()
        assert log.messages == [
            "The channel layer was not told of 1 messages of channel 'jobs', and gives them again"
        ]
        assert layer.closed

    async def test_a_worker_that_failed_to_receive_goes_on(self, layer: AckLayer, log: Any) -> None:
        layer.faults["receive_delivery"] = AWAY
        running = Running(Jobs.as_asgi(), layer)
        await until(lambda: bool(running.sleeps.asked))
        layer.faults.clear()
        await layer.send("jobs", job())
        await running.sleeps.wake(running.sleeps.asked[0])
        await until(lambda: layer.count("acknowledge") == 1)
        await running.stop()


async def test_without_the_extension_nothing_is_asked() -> None:
    layer = LocalLayer()
    assert acknowledgements.queue_limits(layer, "jobs") is None
