"""Answering HTTP in consumers."""

import hashlib
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from channels.generic.http import AsyncHttpConsumer
from channels.http import AsgiHandler
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

logger = logging.getLogger(__name__)


class Notes(AsyncHttpConsumer):
    """Keep notes, in memory."""

    notes: list[str] = []

    async def get(self, body: bytes) -> None:
        await self.answer(200)

    async def post(self, body: bytes) -> None:
        self.notes.append(body.decode(errors="replace"))
        await self.answer(201)

    async def answer(self, status: int) -> None:
        headers = {"Content-Type": "application/json"}
        await self.send_response(status, json.dumps(self.notes).encode(), headers=headers)


class Upload(AsyncHttpConsumer, buffers_body=False, body_timeout=30):
    """Receive a file that need not fit into memory, and answer with its digest."""

    async def put(self, body: bytes) -> None:
        digest = hashlib.sha256()
        async for part in self.stream_body(limit=2**30):
            digest.update(part)
        headers = {"Content-Type": "text/plain"}
        await self.send_response(201, digest.hexdigest().encode(), headers=headers)


# begin model
async def complete(prompt: str) -> AsyncGenerator[str, None]:
    """Stand in for the client of a language model, whose words cost money."""
    for word in f"You said: {prompt}".split():
        yield f"{word} "


# end of model


class Answer(AsyncHttpConsumer):
    """Pass on the words of a language model as they arrive."""

    words = 0

    async def post(self, body: bytes) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        await self.send_headers(headers=headers, flush=True)
        async with aclosing(complete(body.decode(errors="replace"))) as words:
            async for word in words:
                self.words += 1
                await self.send_body(word.encode(), more_body=True)
        await self.send_body(b"")

    async def disconnect(self) -> None:
        logger.info("%d words to pay for", self.words)


# begin routes
application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("notes/", Notes.as_asgi()),
                path("upload/", Upload.as_asgi()),
                path("answer/", Answer.as_asgi()),
                re_path(r"", AsgiHandler()),
            ]
        ),
    }
)
# end of routes
