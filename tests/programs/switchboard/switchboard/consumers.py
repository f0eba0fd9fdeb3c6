"""What happens to one request."""

import asyncio
import json
import resource
from typing import Any

from channels.generic.http import AsyncHttpConsumer


class Calls(AsyncHttpConsumer):
    """Holds a request until there is something to tell."""

    groups = ["callers"]

    async def handle(self, body: bytes) -> None:
        await self.send_headers(headers=[(b"Content-Type", b"application/json")])
        await self.send_body(b"", more_body=True)

    async def call_answered(self, event: dict[str, Any]) -> None:
        await self.send_body(json.dumps(event["text"]).encode())


class Hold(AsyncHttpConsumer):
    """Works on, and says when it is told to stop."""

    async def handle(self, body: bytes) -> None:
        await self.send_headers(flush=True)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("hold: cancelled")
            raise

    async def disconnect(self) -> None:
        print("hold: disconnect")


class Whole(AsyncHttpConsumer):
    """Answers at once."""

    async def get(self, body: bytes) -> None:
        await self.send_response(200, b"whole", headers={"X-Line": "open"})


class Parts(AsyncHttpConsumer):
    """Answers in parts."""

    async def get(self, body: bytes) -> None:
        await self.send_headers(headers={"X-Line": "open"})
        for part in (b"one,", b"two,"):
            await self.send_body(part, more_body=True)
            await asyncio.sleep(0)
        await self.send_body(b"three")


class Cut(AsyncHttpConsumer):
    """Fails halfway."""

    async def get(self, body: bytes) -> None:
        await self.send_headers()
        await self.send_body(b"one,", more_body=True)
        raise RuntimeError("the line is cut")


class Broken(AsyncHttpConsumer):
    """Fails before it answers."""

    async def get(self, body: bytes) -> None:
        raise RuntimeError("the line is broken")


class Letter(AsyncHttpConsumer):
    """Reads a body as a whole."""

    async def post(self, body: bytes) -> None:
        await self.send_response(200, str(len(body)).encode())


class Parcel(AsyncHttpConsumer, buffers_body=False):
    """Reads a body of any size part by part."""

    async def post(self, body: bytes) -> None:
        size = 0
        async for part in self.stream_body():
            size += len(part)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = {"bytes": size, "peak": peak}
        await self.send_response(200, json.dumps(answer).encode())


class Closed(AsyncHttpConsumer, buffers_body=False):
    """Answers without a look at the body."""

    async def post(self, body: bytes) -> None:
        await asyncio.sleep(0)
        await self.send_response(403, b"closed")
