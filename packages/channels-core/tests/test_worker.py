import asyncio
import logging
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from asgiref.server import StatelessServer

from channels_core import worker as module
from channels_core.consumer import AsyncConsumer, SyncConsumer, hook
from channels_core.exceptions import WorkerError
from channels_core.layers import channel_layers
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter
from channels_core.worker import Worker
from fakes import LocalLayer, Sleeps, until


def job(number: int = 0, **extra: Any) -> dict[str, Any]:
    return {"type": "job", "number": number, **extra}


class Jobs:
    """What the consumers of one test have done."""

    def __init__(self) -> None:
        self.made = 0
        self.started: list[int] = []
        self.done: list[int] = []
        self.cut: list[int] = []
        self.left: list[str] = []
        self.scopes: list[Any] = []
        self.gates: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.held = False

    def consumer(self) -> Any:
        jobs = self

        class Consumer(AsyncConsumer):
            def __init__(self) -> None:
                jobs.made += 1

            async def job(self, message: Any) -> None:
                number = message["number"]
                jobs.scopes.append(self.scope)
                jobs.started.append(number)
                try:
                    if jobs.held:
                        await jobs.gates[number].wait()
                    if message.get("fail"):
                        raise LookupError(f"job {number}")
                except asyncio.CancelledError:
                    jobs.cut.append(number)
                    raise
                jobs.done.append(number)

            async def join(self, message: Any) -> None:
                await self.channel_layer.group_add("members", self.channel_name)
                jobs.left.append(self.channel_name)

        return Consumer.as_asgi()


class Running:
    """A worker that runs in the test's event loop."""

    def __init__(self, application: Any, layer: Any, *channels: str, **options: Any) -> None:
        self.sleeps = Sleeps()
        self.worker = options.pop("kind", Worker)(
            application, channels or ["jobs"], layer, sleep=self.sleeps, **options
        )
        self.task = asyncio.ensure_future(self.worker.arun())

    async def stop(self) -> None:
        self.worker.stop()
        await until(lambda: bool(self.sleeps.asked) or self.task.done())
        while not self.task.done():
            for _, sleeper in self.sleeps._sleeping:
                if not sleeper.done():
                    sleeper.set_result(None)
            await asyncio.sleep(0)
        await self.task


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


class TestMessages:
    async def test_each_is_handled_in_the_scope_of_its_channel(
        self, layer: LocalLayer, jobs: Jobs
    ) -> None:
        running = Running(jobs.consumer(), layer, "jobs", "mail", "jobs")
        await layer.send("jobs", job(1))
        await layer.send("mail", job(2))
        await until(lambda: len(jobs.done) == 2)
        assert jobs.scopes == [
            {"type": "channel", "channel": "jobs"},
            {"type": "channel", "channel": "mail"},
        ]
        await running.stop()

    async def test_an_instance_handles_one_after_the_other(
        self, layer: LocalLayer, jobs: Jobs
    ) -> None:
        running = Running(jobs.consumer(), layer)
        for number in range(20):
            await layer.send("jobs", job(number))
            await until(lambda number=number: number in jobs.done)  # type: ignore[misc] # no lambda's type
        assert jobs.made == 1
        await running.stop()

    async def test_no_more_are_taken_than_can_run(self, layer: LocalLayer, jobs: Jobs) -> None:
        jobs.held = True
        running = Running(jobs.consumer(), layer, concurrency=3)
        for number in range(5):
            await layer.send("jobs", job(number))
        await until(lambda: len(jobs.started) == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (jobs.started, layer.queues["jobs"].qsize()) == ([0, 1, 2], 2)
        jobs.gates[1].set()
        await until(lambda: len(jobs.started) == 4)
        assert (jobs.done, layer.queues["jobs"].qsize()) == ([1], 1)
        for number in range(5):
            jobs.gates[number].set()
        await until(lambda: len(jobs.done) == 5)
        assert jobs.made == 3
        await running.stop()

    async def test_with_a_concurrency_of_one_they_keep_their_order(
        self, layer: LocalLayer, jobs: Jobs
    ) -> None:
        jobs.held = True
        running = Running(jobs.consumer(), layer, concurrency=1)
        for number in range(10):
            await layer.send("jobs", job(number))
        for number in range(10):
            await until(lambda number=number: jobs.started == [*range(number + 1)])  # type: ignore[misc] # as above
            assert layer.queues["jobs"].qsize() == 9 - number
            jobs.gates[number].set()
        await until(lambda: jobs.done == [*range(10)])
        await running.stop()

    async def test_what_has_no_type_is_skipped(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        running = Running(jobs.consumer(), layer, concurrency=1)
        await layer.send("jobs", {"number": 1})
        await layer.send("jobs", job(2))
        await until(lambda: jobs.done == [2])
        assert told(caplog) == ["A message from channel 'jobs' has no 'type'; it is skipped"]
        await running.stop()

    async def test_synchronous_consumers_run_beside_each_other(self, layer: LocalLayer) -> None:
        together = threading.Barrier(3)
        done: list[int] = []

        class Consumer(SyncConsumer):
            def job(self, message: Any) -> None:
                together.wait(60)
                done.append(message["number"])

        running = Running(Consumer, layer)
        for number in range(3):
            await layer.send("jobs", job(number))
        await until(lambda: len(done) == 3)
        await running.stop()


class TestFailures:
    async def test_one_costs_only_its_own_message_and_is_logged_once(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        running = Running(jobs.consumer(), layer, concurrency=1)
        for number in range(4):
            await layer.send("jobs", job(number, fail=number == 1, secret="password"))
        await until(lambda: len(jobs.done) == 3)
        assert jobs.done == [0, 2, 3]
        assert jobs.made == 2
        [record] = caplog.records
        assert record.name == "django.channels.consumer"
        assert "worker for 'jobs'" in record.getMessage()
        assert "password" not in caplog.text
        await running.stop()

    async def test_one_that_a_consumer_reports_in_its_own_way_is_not_logged_again(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        reported: list[str] = []

        class Consumer(AsyncConsumer):
            async def job(self, message: Any) -> None:
                raise LookupError("broken")

            @hook
            def report_exception(self, error: Exception, message: Any) -> None:
                reported.append(f"{error} {message['number']}")

        running = Running(Consumer, layer)
        await layer.send("jobs", job(1))
        await until(lambda: reported == ["broken 1"])
        await running.stop()
        assert told(caplog) == []

    async def test_that_of_an_application_that_logs_nothing_is_logged(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            message = await receive()
            raise LookupError(f"job {message['number']}")

        running = Running(application, layer)
        await layer.send("jobs", job(1, secret="password"))
        await until(lambda: bool(caplog.records))
        [record] = caplog.records
        assert (record.name, record.levelname) == ("django.channels.worker", "ERROR")
        assert record.getMessage() == (
            "The application failed for a message of type 'job' from channel 'jobs'"
        )
        assert record.exc_info is not None
        assert record.exc_info[0] is LookupError
        assert "password" not in caplog.text
        await running.stop()

    async def test_a_channel_without_an_application_is_one_line(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        router = ChannelNameRouter({"mail": jobs.consumer()})
        running = Running(ProtocolTypeRouter({"channel": router}), layer)
        await layer.send("jobs", job(1))
        await until(lambda: bool(caplog.records))
        [record] = caplog.records
        assert record.exc_info is None
        assert record.getMessage() == (
            "A message of type 'job' from channel 'jobs' is lost: No application configured for "
            "channel name 'jobs'. There is one for each of: 'mail'"
        )
        await running.stop()

    async def test_a_job_that_calls_for_the_exit_does_not_end_the_worker(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[int] = []

        class Consumer(SyncConsumer):
            def job(self, message: Any) -> None:
                if message["number"] == 1:
                    sys.exit(3)
                done.append(message["number"])

        running = Running(Consumer, layer, concurrency=1)
        await layer.send("jobs", job(1))
        await layer.send("jobs", job(2))
        await until(lambda: done == [2])
        [record] = caplog.records
        assert record.getMessage().startswith("The application failed")
        assert record.exc_info is not None
        assert record.exc_info[0] is SystemExit
        await running.stop()

    async def test_a_constructor_that_fails_costs_one_message(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[int] = []
        faults = [LookupError("model")]

        class Consumer(AsyncConsumer):
            def __init__(self) -> None:
                if faults:
                    raise faults.pop()

            async def job(self, message: Any) -> None:
                done.append(message["number"])

        running = Running(Consumer.as_asgi(), layer, concurrency=1)
        await layer.send("jobs", job(1))
        await layer.send("jobs", job(2))
        await until(lambda: done == [2])
        assert [record.name for record in caplog.records] == ["django.channels.consumer"]
        await running.stop()

    async def test_an_application_may_end_after_each_message(self, layer: LocalLayer) -> None:
        done: list[int] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            done.append((await receive())["number"])

        running = Running(application, layer, concurrency=1)
        for number in range(3):
            await layer.send("jobs", job(number))
        await until(lambda: done == [0, 1, 2])
        await running.stop()

    async def test_one_that_does_not_ask_for_its_message_is_told_of(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            """Do nothing."""

        running = Running(application, layer)
        await layer.send("jobs", job(1))
        await until(lambda: bool(caplog.records))
        [text] = told(caplog)
        assert text == (
            "A message of type 'job' from channel 'jobs' is lost: the application ended without "
            "having asked for it"
        )
        await running.stop()

    async def test_one_that_cancels_itself_is_told_of_and_replaced(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[int] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            while True:
                number = (await receive())["number"]
                if number == 1:
                    raise asyncio.CancelledError
                done.append(number)

        running = Running(application, layer, concurrency=1)
        for number in (1, 3):
            await layer.send("jobs", job(number))
        await until(lambda: done == [3])
        [text] = told(caplog)
        assert text == (
            "A message of type 'job' from channel 'jobs' is lost: the application was cancelled "
            "from within"
        )
        await running.stop()

    async def test_one_that_is_cancelled_while_idle_has_lost_nothing(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        tasks: list[Any] = []
        idle = asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            tasks.append(asyncio.current_task())
            await receive()
            asyncio.get_running_loop().call_soon(idle.set)
            await receive()

        running = Running(application, layer)
        await layer.send("jobs", job(1))
        await idle.wait()
        tasks[0].cancel()
        await layer.send("jobs", job(2))
        await until(lambda: len(tasks) == 2)
        assert told(caplog) == []
        await running.stop()

    async def test_there_is_nobody_to_send_to(
        self, layer: LocalLayer, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Consumer(AsyncConsumer):
            async def job(self, message: Any) -> None:
                await self.send({"type": "websocket.send", "text": message["text"]})

        running = Running(Consumer, layer)
        await layer.send("jobs", job(1, text="secret"))
        await until(lambda: bool(caplog.records))
        assert (
            "NotImplementedError: The application for channel 'jobs' sent a message of type "
            "'websocket.send', but in a worker there is no client to send it to; send over the "
            "channel layer instead"
        ) in caplog.text
        assert "secret" not in caplog.text
        await running.stop()

    async def test_a_program_may_be_told_of_exceptions(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        heard: list[Any] = []

        class Telling(Worker):
            async def application_exception(self, exception: Any, application_details: Any) -> None:
                heard.append((str(exception), application_details))
                raise ConnectionError("no tracker")

        running = Running(jobs.consumer(), layer, kind=Telling, concurrency=1)
        await layer.send("jobs", job(1, fail=True))
        await layer.send("jobs", job(2))
        await until(lambda: jobs.done == [2])
        [(text, details)] = heard
        assert text == "job 1"
        assert details["scope"] == {"type": "channel", "channel": "jobs"}
        assert details["message"] == job(1, fail=True)
        assert details["future"].done()
        assert told(caplog)[1:] == ["Telling.application_exception failed"]
        await running.stop()


class TestStop:
    async def test_running_work_ends_and_nothing_more_is_taken(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        jobs.held = True
        running = Running(jobs.consumer(), layer, concurrency=2)
        for number in range(3):
            await layer.send("jobs", job(number))
        await until(lambda: len(jobs.started) == 2)
        running.worker.stop()
        jobs.gates[0].set()
        await until(lambda: jobs.done == [0])
        for _ in range(50):
            await asyncio.sleep(0)
        assert not running.task.done()
        jobs.gates[1].set()
        await running.task
        assert (jobs.done, jobs.cut, layer.queues["jobs"].qsize()) == ([0, 1], [], 1)
        assert told(caplog) == []

    async def test_after_the_grace_it_is_cut_and_told_of(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        jobs.held = True
        running = Running(jobs.consumer(), layer, "jobs", "mail", concurrency=2, graceful_timeout=0)
        for channel, number in (("jobs", 1), ("jobs", 2), ("mail", 3)):
            await layer.send(channel, job(number))
        await until(lambda: len(jobs.started) == 3)
        await running.stop()
        assert sorted(jobs.cut) == [1, 2, 3]
        assert told(caplog) == [
            "3 messages were cut off after 0 seconds of grace; by channel: 'jobs': 2, 'mail': 1"
        ]

    async def test_a_message_that_was_on_its_way_is_handled(
        self, layer: LocalLayer, jobs: Jobs
    ) -> None:
        running = Running(jobs.consumer(), layer)
        await until(lambda: "jobs" in layer.queues)
        running.worker.stop()
        await running.sleeps.wait_for(1)
        await layer.send("jobs", job(1))
        await running.task
        assert jobs.done == [1]

    async def test_idle_consumers_clean_up(self, jobs: Jobs) -> None:
        forgotten: list[str] = []

        class Layer(LocalLayer):
            async def forget_channel(self, channel: str) -> None:
                forgotten.append(channel)

        layer = Layer()
        with _default(layer):
            running = Running(jobs.consumer(), layer)
            await layer.send("jobs", {"type": "join"})
            await until(lambda: bool(jobs.left))
            await running.stop()
        assert forgotten == jobs.left

    async def test_the_layer_is_closed_once(self, jobs: Jobs) -> None:
        class Layer(LocalLayer):
            async def close(self) -> None:
                self.calls.append(("close",))

            async def close_pools(self) -> None:
                raise AssertionError

        layer = Layer()
        await Running(jobs.consumer(), layer).stop()
        assert layer.calls == [("close",)]

    async def test_so_are_the_pools_of_channels_redis(self, jobs: Jobs) -> None:
        class Layer(LocalLayer):
            def close_pools(self) -> None:
                self.calls.append(("close_pools",))

        layer = Layer()
        await Running(jobs.consumer(), layer).stop()
        assert layer.calls == [("close_pools",)]

    async def test_a_layer_that_cannot_be_closed_is_told_of(
        self, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Layer(LocalLayer):
            async def close(self) -> None:
                raise ConnectionError("no server")

        await Running(jobs.consumer(), Layer()).stop()
        assert told(caplog) == ["The channel layer could not be closed"]

    async def test_a_stop_before_the_start_counts(self, layer: LocalLayer, jobs: Jobs) -> None:
        worker = Worker(jobs.consumer(), ["jobs"], layer)
        worker.stop()
        await layer.send("jobs", job(1))
        await worker.arun()
        assert (jobs.started, layer.queues["jobs"].qsize()) == ([], 1)

    def test_ctrl_c_ends_it_quietly(self, layer: LocalLayer, jobs: Jobs) -> None:
        class Interrupted(LocalLayer):
            async def receive(self, channel: str) -> Any:
                raise KeyboardInterrupt

        Worker(jobs.consumer(), ["jobs"], Interrupted()).run()

    def test_it_may_come_from_another_thread(self, layer: LocalLayer, jobs: Jobs) -> None:
        worker = Worker(jobs.consumer(), ["jobs"], layer, sleep=_no_time)
        thread = threading.Thread(target=worker.stop)

        class Starting(LocalLayer):
            async def receive(self, channel: str) -> Any:
                thread.start()
                return await super().receive(channel)

        worker.channel_layer = Starting()
        worker.run()
        thread.join()
        # After its end it does nothing.
        worker.stop()

    async def test_one_that_does_not_end_is_given_up(
        self,
        layer: LocalLayer,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "_CLEAN_UP", 0.01)
        over = asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            while not over.is_set():
                with suppress(asyncio.CancelledError):
                    await over.wait()

        running = Running(application, layer, graceful_timeout=0)
        await layer.send("jobs", job(1))
        await until(lambda: not layer.queues["jobs"].qsize())
        await asyncio.sleep(0)
        await running.stop()
        [_, text] = told(caplog)
        assert text == (
            "Instances did not end within 0.01 seconds after they were cancelled; by channel: "
            "'jobs': 1"
        )
        over.set()
        await running.worker._slots.wait(20)

    async def test_to_cancel_it_cuts_all_at_once(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        jobs.held = True
        running = Running(jobs.consumer(), layer)
        await layer.send("jobs", job(1))
        await until(lambda: jobs.started == [1])
        running.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running.task
        assert jobs.cut == [1]
        assert asyncio.all_tasks() == {asyncio.current_task()}


class TestLayerFailures:
    async def test_one_that_comes_back_costs_nothing(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        running = Running(jobs.consumer(), layer)
        await layer.send("jobs", job(1))
        await until(lambda: jobs.done == [1])
        layer.faults["receive"] = ConnectionError("no server")
        layer.queues["jobs"].put_nowait({})
        await until(lambda: bool(running.sleeps.asked))
        del layer.faults["receive"]
        await layer.send("jobs", job(2))
        await running.sleeps.wake(running.sleeps.asked[0])
        await until(lambda: jobs.done == [1, 2])
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        await running.stop()

    async def test_one_that_does_not_ends_the_worker_after_its_work(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        jobs.held = True

        class Broken(LocalLayer):
            async def receive(self, channel: str) -> Any:
                if channel == "mail":
                    await until(lambda: jobs.started == [1])
                    raise ConnectionError("no server")
                return await super().receive(channel)

        broken = Broken()
        running = Running(jobs.consumer(), broken, "jobs", "mail", max_outage=0, concurrency=1)
        await broken.send("jobs", job(1))
        await until(running.worker._stopped.is_set)
        jobs.gates[1].set()
        with pytest.raises(WorkerError, match="channel 'mail'"):
            await running.task
        assert jobs.done == [1]


class TestSubclasses:
    async def test_a_listener_of_its_own_is_cancelled_at_the_stop(
        self, layer: LocalLayer, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_LISTENERS", 0.01)

        class Pooling(Worker):
            """Uses the methods of `StatelessServer`."""

            async def listener(self, channel: str) -> None:
                while True:
                    message = await self.channel_layer.receive(channel)
                    scope = {"type": "channel", "channel": channel}
                    base: Any = self  # which has no types
                    base.get_or_create_application_instance(channel, scope).put_nowait(message)

        running = Running(jobs.consumer(), layer, kind=Pooling)
        await layer.send("jobs", job(1))
        await until(lambda: jobs.done == [1])
        running.worker.delete_oldest_application_instance()
        await running.stop()

    async def test_a_handle_of_its_own_ends_as_well(self, layer: LocalLayer, jobs: Jobs) -> None:
        jobs.held = True

        class Own(Worker):
            async def handle(self) -> None:
                await asyncio.gather(*(self.listener(channel) for channel in self.channels))

        running = Running(jobs.consumer(), layer, kind=Own, concurrency=1)
        await layer.send("jobs", job(1))
        await until(lambda: jobs.started == [1])
        running.worker.stop()
        jobs.gates[1].set()
        await running.task
        assert jobs.done == [1]

    async def test_listeners_that_end_by_themselves_end_it(
        self, layer: LocalLayer, jobs: Jobs
    ) -> None:
        class Once(Worker):
            async def listener(self, channel: str) -> None:
                """Listen to nothing."""

        await Running(jobs.consumer(), layer, kind=Once).task

    async def test_what_a_listener_raises_ends_it(self, layer: LocalLayer, jobs: Jobs) -> None:
        class Failing(Worker):
            async def listener(self, channel: str) -> None:
                if channel == "mail":
                    raise LookupError(channel)
                await super().listener(channel)

        running = Running(jobs.consumer(), layer, "jobs", "mail", kind=Failing)
        await running.sleeps.wake(1)
        with pytest.raises(LookupError, match="mail"):
            await running.task

    async def test_what_the_base_reports_is_logged(
        self, layer: LocalLayer, jobs: Jobs, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = Worker(jobs.consumer(), ["jobs"], layer)
        details = {"scope": {"type": "channel", "channel": "jobs"}}
        await worker.application_exception(LookupError("broken"), details)
        assert told(caplog) == [
            "The application failed for a message of type unknown from channel 'jobs'"
        ]


class TestConstructor:
    def test_it_is_a_server_of_asgiref(self, layer: LocalLayer, jobs: Jobs) -> None:
        worker = Worker(jobs.consumer(), ["jobs"], layer, 500)
        assert isinstance(worker, StatelessServer)
        assert (worker.channels, worker.channel_layer) == (["jobs"], layer)
        assert (worker.max_applications, worker.concurrency) == (500, 10)
        assert (worker.graceful_timeout, worker.max_outage) == (30, 60)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
            ({"max_applications": 1}, "at least the number of channels, since each needs an"),
            ({"graceful_timeout": -1}, "seconds of at least 0, not -1 and 60"),
            ({"max_outage": -1}, "seconds of at least 0, not 30 and -1"),
        ],
    )
    def test_it_refuses_what_could_not_work(
        self, options: Any, words: str, layer: LocalLayer, jobs: Jobs
    ) -> None:
        with pytest.raises(ValueError, match=words):
            Worker(jobs.consumer(), ["jobs", "mail", "jobs"], layer, **options)

    def test_it_refuses_what_is_no_application(self, layer: LocalLayer) -> None:
        with pytest.raises(TypeError, match="Expected an ASGI application"):
            Worker("application", ["jobs"], layer)

    async def test_the_bound_over_all_channels_holds(self, layer: LocalLayer, jobs: Jobs) -> None:
        jobs.held = True
        running = Running(jobs.consumer(), layer, "jobs", "mail", max_applications=2)
        for number in range(3):
            await layer.send("jobs", job(number))
        await until(lambda: len(jobs.started) == 1)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (jobs.started, layer.queues["jobs"].qsize()) == ([0], 2)
        for number in range(3):
            jobs.gates[number].set()
        await until(lambda: len(jobs.done) == 3)
        await running.stop()


async def _no_time(seconds: float) -> None:
    """Sleep for no time at all."""


@contextmanager
def _default(layer: LocalLayer) -> Iterator[None]:
    channel_layers.set("default", layer)
    try:
        yield
    finally:
        channel_layers.set("default", None)
