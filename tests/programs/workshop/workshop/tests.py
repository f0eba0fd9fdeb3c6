"""The program's own tests."""

import asyncio
from unittest.mock import patch

from channels.layers import get_channel_layer
from channels.worker import Worker
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase

from . import consumers
from .asgi import application

# A safety net, for a machine under load.
SECONDS = 60


class Test(SimpleTestCase):
    async def test_jobs_are_done(self) -> None:
        said: list[str] = []
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def say(text: str) -> None:
            said.append(text)
            if len(said) == 41:
                loop.call_soon_threadsafe(told.set)

        layer = get_channel_layer()
        assert layer is not None
        worker = Worker(application, ["jobs", "sync-jobs"], layer, concurrency=1)
        with patch.object(consumers, "say", say):
            running = asyncio.create_task(worker.arun())
            for number in range(20):
                await layer.send("jobs", {"type": "job", "number": number})
                await layer.send("sync-jobs", {"type": "job", "number": 100 + number})
            await asyncio.wait_for(told.wait(), SECONDS)
            worker.stop()
            await running
        assert sorted(said) == sorted(
            ["made one", *(f"done {number + base}" for number in range(20) for base in (0, 100))]
        )

    def test_a_channel_that_nobody_serves_is_refused(self) -> None:
        with self.assertRaisesMessage(CommandError, "is one for each of: 'jobs', 'sync-jobs'"):
            call_command("runworker", "sms")
