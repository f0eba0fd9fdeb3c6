"""What the workers do, and say on their output that they have done."""

import asyncio
import sys
import time
from typing import Any

from channels.consumer import AsyncConsumer, SyncConsumer


def say(text: str) -> None:
    """Write a line in one piece, whatever else is written meanwhile."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Jobs(AsyncConsumer):
    """Jobs with a number."""

    def __init__(self) -> None:
        say("made one")

    async def job(self, message: dict[str, Any]) -> None:
        """Do a job, which takes as many seconds as it says."""
        await asyncio.sleep(message.get("seconds", 0))
        if message.get("fails"):
            raise LookupError(f"job {message['number']} fails")
        say(f"done {message['number']}")

    async def begin(self, message: dict[str, Any]) -> None:
        """Say that this much has been reached."""
        say("begun")

    async def endless(self, message: dict[str, Any]) -> None:
        """Begin what never ends."""
        say("begun")
        try:
            await asyncio.Event().wait()
        finally:
            say("cut")


class SyncJobs(SyncConsumer):
    """The same in threads."""

    def job(self, message: dict[str, Any]) -> None:
        """Do a job, which takes as many seconds as it says."""
        time.sleep(message.get("seconds", 0))
        if message.get("fails"):
            raise LookupError(f"job {message['number']} fails")
        say(f"done {message['number']}")
