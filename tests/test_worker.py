"""Workers as processes of `manage.py runworker`, with a Redis that may fail."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import pytest
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

import parts
from channels_layers_redis import RedisChannelLayer as OurRedisChannelLayer
from processes import SECONDS
from redis_server import MissingRedis, RedisServer
from served import ROOT

WORKSHOP = ROOT / "tests" / "programs" / "workshop"
REDIS = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"


class Running:
    """A worker's process and its output so far."""

    def __init__(
        self, server: RedisServer, *arguments: str, layer: str = REDIS, **env: str
    ) -> None:
        passed_on = {"PATH", "HOME", "TMPDIR"}
        environment = {name: value for name, value in os.environ.items() if name in passed_on}
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "manage.py", "runworker", *arguments],
            cwd=WORKSHOP,
            env={**environment, "WORKSHOP_REDIS": server.url, "WORKSHOP_LAYER": layer, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.process.kill()
        self._reading.join(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(SECONDS)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1) -> None:
        """Wait until this many lines match."""

        def there() -> bool:
            return sum(re.search(pattern, line) is not None for line in self.lines) >= count

        with self._changed:
            assert self._changed.wait_for(there, SECONDS), self.output

    @property
    def done(self) -> list[int]:
        return [int(line.split()[1]) for line in self.lines if line.startswith("done ")]

    def end(self, number: int | None = None) -> int:
        """Send a signal if one is given, and return the exit status of the process."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(SECONDS)
        self._reading.join(SECONDS)
        return status


@pytest.fixture
def server() -> Iterator[RedisServer]:
    try:
        server = RedisServer()
    except MissingRedis as missing:
        parts.missing(missing)
    with server:
        yield server


def send(server: RedisServer, *messages: dict[str, Any], channel: str = "jobs") -> None:
    """Send messages to workers, as another process would."""

    async def run() -> None:
        layer = RedisChannelLayer([server.url], capacity=len(messages) + 100)
        for message in messages:
            await layer.send(channel, message)
        await layer.close_pools()

    asyncio.run(run())


def job(number: int, **extra: Any) -> dict[str, Any]:
    return {"type": "job", "number": number, **extra}


def left(server: RedisServer) -> int:
    """Return how many messages wait in Redis, including those that may be redelivered."""
    client: Any = server.client  # whose types allow for coroutines
    return sum(client.zcard(key) for key in client.keys("asgi*"))


@pytest.mark.parametrize("channel", ["jobs", "sync-jobs"])
def test_a_failure_costs_one_job_of_a_thousand(server: RedisServer, channel: str) -> None:
    jobs = [job(number, fails=number % 100 == 7) for number in range(1000)]
    send(server, *jobs, channel=channel)
    with Running(server, channel) as worker:
        worker.wait_for("^done ", 990)
        worker.wait_for("^LookupError: ", 10)
        assert worker.end(signal.SIGTERM) == 0
    assert sorted(worker.done) == [number for number in range(1000) if number % 100 != 7]
    failed = re.findall(r"^LookupError: job (\d+) fails$", worker.output, re.MULTILINE)
    assert sorted(map(int, failed)) == [*range(7, 1000, 100)]
    assert len(re.findall(rf"\] ERROR .*failed: worker for '{channel}'", worker.output)) == 10
    assert worker.output.count("] ERROR ") == worker.output.count("Traceback") == 10
    assert left(server) == 0


def test_an_instance_does_many_jobs(server: RedisServer) -> None:
    send(server, *map(job, range(200)))
    with Running(server, "jobs", "--concurrency=3") as worker:
        worker.wait_for("^done ", 200)
        assert worker.end(signal.SIGTERM) == 0
    assert 1 <= worker.output.count("made one") <= 3


@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_job_is_lost_or_done_twice_by_a_stop(
    server: RedisServer, number: signal.Signals, concurrency: int
) -> None:
    send(server, *(job(number, seconds=0.001) for number in range(1000)))
    done: list[int] = []
    # Stopped repeatedly, at moments that are unrelated to the jobs.
    stops = iter((50, 130, 40, 90, 210, 60, 110))
    while len(done) < 1000:
        with Running(server, "jobs", f"--concurrency={concurrency}") as worker:
            worker.wait_for("^done ", min(next(stops, 1000), 1000 - len(done)))
            assert worker.end(number) == 0, worker.output
        done += worker.done
        assert "ERROR" not in worker.output
        assert "WARNING" not in worker.output
        if concurrency == 1:
            assert done == [*range(len(done))]
        assert len(done) + left(server) == 1000
    assert Counter(done) == Counter(range(1000))


def test_running_work_ends_before_the_worker(server: RedisServer) -> None:
    send(server, job(1, seconds=2), channel="sync-jobs")
    send(server, {"type": "begin"}, job(2, seconds=2))
    with Running(server, "jobs", "sync-jobs") as worker:
        worker.wait_for("^begun")
        wait(lambda: left(server) == 0, worker)
        assert worker.end(signal.SIGTERM) == 0
    assert sorted(worker.done) == [1, 2]
    assert "] WARNING " not in worker.output
    assert "INFO Worker stopped listening on jobs, sync-jobs" in worker.lines[-1]


def test_work_that_takes_too_long_is_cut_off_and_logged(server: RedisServer) -> None:
    send(server, {"type": "endless"})
    with Running(server, "jobs", "--graceful-timeout=0.5") as worker:
        worker.wait_for("^begun")
        assert worker.end(signal.SIGTERM) == 0
    assert "cut" in worker.lines
    told = "] WARNING 1 messages were cut off after 0.5 seconds of grace; by channel: 'jobs': 1"
    assert told in worker.output
    assert "INFO Worker stopped listening on jobs" in worker.lines[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(server: RedisServer, number: signal.Signals) -> None:
    send(server, {"type": "endless"})
    with Running(server, "jobs", "--graceful-timeout=600") as worker:
        worker.wait_for("^begun")
        deadline = time.monotonic() + SECONDS
        # Two signals in quick succession may arrive as one.
        while worker.process.poll() is None and time.monotonic() < deadline:
            worker.process.send_signal(number)
            time.sleep(0.05)
        assert worker.end() == 128 + number
    assert "cut" not in worker.lines
    assert "stopped" not in worker.output


def test_without_redis_it_ends_with_an_error(server: RedisServer) -> None:
    send(server, job(1))
    with Running(server, "jobs", "--max-outage=2") as worker:
        worker.wait_for("^done 1")
        server.stop(signal.SIGKILL)
        assert worker.end() == 1
    assert worker.output.count("] WARNING The channel layer failed for channel 'jobs'") == 1
    assert worker.lines[-1].startswith("CommandError: The channel layer has failed ")
    # The idle consumer listened on its own channel.
    assert worker.output.count("] ERROR ") == 1
    # All tracebacks are of that error and of those that have caused it.
    causes = re.findall(r"the direct cause of|During handling of", worker.output)
    assert worker.output.count("Traceback") == len(causes) + 1


def test_it_goes_on_when_redis_comes_back(server: RedisServer) -> None:
    send(server, job(1))
    with Running(server, "jobs") as worker:
        worker.wait_for("^done 1")
        for number in (2, 3):
            server.stop(signal.SIGKILL)
            worker.wait_for("WARNING The channel layer failed", number - 1)
            server.start()
            send(server, job(number))
            worker.wait_for(f"^done {number}")
            worker.wait_for("INFO The channel layer works again for channel 'jobs'", number - 1)
        assert worker.end(signal.SIGTERM) == 0
    assert worker.done == [1, 2, 3]
    assert worker.output.count("] WARNING ") == 2


class TestPublishAndSubscribe:
    """The other layer of channels-redis, which keeps no messages for later subscribers."""

    def send(self, server: RedisServer, *messages: dict[str, Any]) -> None:
        async def run() -> None:
            layer = RedisPubSubChannelLayer([server.url])
            for message in messages:
                await layer.send("jobs", message)
            await layer.flush()

        asyncio.run(run())

    def wait_until_subscribed(self, server: RedisServer, worker: Running) -> None:
        wait(lambda: server.client.pubsub_numsub("jobs") == [(b"jobs", 1)], worker)

    def test_jobs_are_done(self, server: RedisServer) -> None:
        with Running(server, "jobs", layer=PUBSUB) as worker:
            self.wait_until_subscribed(server, worker)
            self.send(server, *(job(number, fails=number % 100 == 7) for number in range(300)))
            worker.wait_for("^done ", 297)
            worker.wait_for("^LookupError: ", 3)
            assert worker.end(signal.SIGTERM) == 0
        assert sorted(worker.done) == [number for number in range(300) if number % 100 != 7]
        assert worker.output.count("] ERROR ") == 3

    def test_redis_may_come_after_the_worker(self, server: RedisServer) -> None:
        server.stop(signal.SIGKILL)
        with Running(server, "jobs", layer=PUBSUB) as worker:
            worker.wait_for("WARNING The channel layer failed")
            server.start()
            self.wait_until_subscribed(server, worker)
            self.send(server, job(1))
            worker.wait_for("^done 1")
            assert worker.end(signal.SIGTERM) == 0


def test_an_unknown_channel_is_refused_at_the_start(server: RedisServer) -> None:
    with Running(server, "sms") as worker:
        assert worker.end() == 1
    [line] = worker.lines
    assert line == (
        "CommandError: The ChannelNameRouter of ASGI_APPLICATION has no application for 'sms'; "
        "there is one for each of: 'jobs', 'sync-jobs'"
    )


def wait(condition: Callable[[], bool], worker: Running) -> None:
    """Wait for a condition that sends no notification."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, worker.output
        time.sleep(0.02)


OURS = "channels_layers_redis.RedisChannelLayer"
QUEUES = {"jobs": {"redeliver_after": 2, "tries": 5}}
CONCURRENCY = 10
# Fewer than 10,000, which take a minute; the environment may ask for them.
MANY = int(os.environ.get("CHANNELS_WORKER_JOBS", "2000"))


def work_and_kill_two(server: RedisServer, config: dict[str, Any]) -> Counter[int]:
    """Let four workers do many jobs, two of which are killed in the middle.

    Returns:
        How often each job was done.
    """
    layer = OurRedisChannelLayer([server.url], capacity=MANY + 100, **config)
    for number in range(MANY):
        layer.send_sync("jobs", job(number))
    arguments = ("jobs", "--concurrency", str(CONCURRENCY))
    env = {"layer": OURS, "WORKSHOP_CONFIG": json.dumps(config)}
    with ExitStack() as ends:
        workers = [ends.enter_context(Running(server, *arguments, **env)) for _ in range(4)]

        def have_done(share: float) -> bool:
            return sum(len(one.done) for one in workers) >= MANY * share

        for share, worker in ((0.2, workers[0]), (0.5, workers[1])):
            wait_until(partial(have_done, share))
            worker.end(signal.SIGKILL)
        wait_until(lambda: not server.ask("KEYS", "asgi:channel:*"))
        # They end their jobs before they stop.
        assert [worker.end(signal.SIGTERM) for worker in workers[2:]] == [0, 0]
        return Counter(number for worker in workers for number in worker.done)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what several processes do together."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_workers_lose_no_acknowledged_job(server: RedisServer) -> None:
    times = work_and_kill_two(server, {"queues": QUEUES})
    assert len(times) == MANY
    # What each of the two had done and not acknowledged yet.
    assert times.total() - MANY <= 2 * CONCURRENCY


def test_killed_workers_do_no_job_twice(server: RedisServer) -> None:
    times = work_and_kill_two(server, {})
    assert set(times.values()) == {1}
    assert MANY - len(times) <= 2 * CONCURRENCY
