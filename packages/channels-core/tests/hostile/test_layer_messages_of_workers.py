"""Messages that no program would send to a worker: none of them ends it."""

import asyncio
from typing import Any, Final

import pytest

from channels_core.consumer import AsyncConsumer, SyncConsumer
from channels_core.worker import Worker
from fakes import LocalLayer, until

MESSAGES: Final[list[Any]] = [
    None, 5, "job", b"job", [], ["type"], (), {}, {"type": None}, {"type": 5}, {"type": b"job"},
    {"type": []}, {"type": {}}, {"type": ""}, {"type": "."}, {"type": "_"}, {"type": ".job"},
    {"type": "_job"}, {"type": "__init__"}, {"type": "send"}, {"type": "dispatch"},
    {"type": "unknown"}, {"type": "http.disconnect"}, {"type": "websocket.disconnect"},
    {"type": "websocket.connect"}, {"type": "x" * 100_000}, {"type": "\ud800"}, {"type": "\x00"},
    {"type": "lifespan.shutdown"}, {5: 6}, {None: None},
]  # fmt: skip


done: list[int] = []


class Jobs(AsyncConsumer):
    async def job(self, message: Any) -> None:
        done.append(message["number"])


class SyncJobs(SyncConsumer):
    def job(self, message: Any) -> None:
        done.append(message["number"])


@pytest.mark.parametrize("program", [Jobs, SyncJobs])
async def test_no_message_ends_a_worker(
    program: Any, layer: LocalLayer, record_property: Any, caplog: pytest.LogCaptureFixture
) -> None:
    record_property("inputs", len(MESSAGES))
    done.clear()
    worker = Worker(program, ["jobs"], layer, concurrency=1)
    running = asyncio.ensure_future(worker.arun())
    for number, message in enumerate(MESSAGES):
        layer.queues["jobs"].put_nowait(message)
        layer.queues["jobs"].put_nowait({"type": "job", "number": number})
    await until(lambda: len(done) == len(MESSAGES) or running.done())
    assert done == list(range(len(MESSAGES)))
    worker.stop()
    await running
    assert all(len(line) < 500 for line in caplog.messages)
