"""The work of the workers, which print what they have done."""

import asyncio
import sys
import time
from typing import Any

from channels.consumer import AsyncConsumer, SyncConsumer


def say(text: str) -> None:
    """Write a line in one call, because other threads write too."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Jobs(AsyncConsumer):
    """Jobs with a number."""

    def __init__(self) -> None:
        say("made one")

    async def job(self, message: dict[str, Any]) -> None:
        """Do a job, which takes the given number of seconds."""
        await asyncio.sleep(message.get("seconds", 0))
        if message.get("fails"):
            raise LookupError(f"job {message['number']} fails")
        say(f"done {message['number']}")

    async def begin(self, message: dict[str, Any]) -> None:
        """Print that this point has been reached."""
        say("begun")

    async def endless(self, message: dict[str, Any]) -> None:
        """Start work that never ends."""
        say("begun")
        try:
            await asyncio.Event().wait()
        finally:
            say("cut")


class SyncJobs(SyncConsumer):
    """The same in threads."""

    def job(self, message: dict[str, Any]) -> None:
        """Do a job, which takes the given number of seconds."""
        time.sleep(message.get("seconds", 0))
        if message.get("fails"):
            raise LookupError(f"job {message['number']} fails")
        say(f"done {message['number']}")
