"""Four worker processes, two of which are killed in the middle."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from channels_layers_redis.layer import RedisChannelLayer
from redis_process import RedisProcess
from working_process import QUEUES, TASKS

JOBS = 10_000
PROGRAM = Path(__file__).with_name("working_process.py")


@contextmanager
def workers(url: str, channel: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as ends:
        started = []
        for _ in range(4):
            worker = subprocess.Popen([sys.executable, str(PROGRAM), url, channel])
            started.append(ends.enter_context(worker))
            ends.callback(worker.kill)
        yield started


class Site:
    """Sends jobs, and reads which of them were done."""

    def __init__(self, server: RedisProcess, channel: str) -> None:
        self.layer = RedisChannelLayer(hosts=[server.url], capacity=2 * JOBS, queues=QUEUES)
        self.channel = channel
        self.redis: Any = Redis.from_url(server.url)  # published without types
        server.ask("FLUSHALL")
        self.send(range(JOBS))

    def send(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.layer.send_sync(self.channel, {"type": "job", "number": number})

    def done(self) -> list[int]:
        return [int(number) for number in self.redis.lrange("done", 0, -1)]

    def kill_two(self, workers: list[subprocess.Popen[bytes]]) -> None:
        for share, worker in zip((0.2, 0.5), workers[:2], strict=True):
            while self.redis.llen("done") < JOBS * share:
                self.redis.ping()
            worker.send_signal(signal.SIGKILL)

    def end(self, workers: list[subprocess.Popen[bytes]]) -> Counter[int]:
        """Let the workers end that are left; return how often each job was done."""
        self.send([-1] * (2 * TASKS))
        assert [worker.wait(60) for worker in workers[2:]] == [0, 0]
        self.redis.close()
        return Counter(number for number in self.done() if number >= 0)


def test_without_acknowledgements_no_job_is_done_twice(server: RedisProcess) -> None:
    site = Site(server, "plain")
    with workers(server.url, "plain") as running:
        site.kill_two(running)
        while site.redis.exists("asgi:channel:{plain}"):
            site.redis.ping()
        times = site.end(running)
    # The two may have lost what they had taken: one job for each of their tasks.
    assert JOBS - 2 * TASKS <= len(times) <= JOBS
    assert set(times.values()) == {1}


def test_with_acknowledgements_all_jobs_are_done(server: RedisProcess) -> None:
    site = Site(server, "acknowledged")
    with workers(server.url, "acknowledged") as running:
        site.kill_two(running)
        while len(set(site.done())) < JOBS:
            site.redis.ping()
        times = site.end(running)
    assert len(times) == JOBS
    # What was recorded and not acknowledged yet when one of the two was killed.
    assert times.total() - JOBS <= 2 * TASKS
    assert max(times.values()) <= 2
