"""An answer that arrives word by word, as those of language models do.

The response of an SSE consumer lasts as long as its `connect` runs, and ends it when the visitor
leaves: docs/topics/server-sent-events.md. Here the words come from a short list. With a model, this
loop would read from it.
"""

import asyncio
import random
from collections.abc import Iterator
from urllib.parse import parse_qsl

from channels.generic.sse import AsyncSseConsumer
from django.conf import settings

from chat.forms import PositionForm

__all__ = ["ParrotConsumer", "words"]

SENTENCES = (
    "A group sends one message to everybody who has joined it.",
    "Each open page has a consumer of its own, and a consumer does one thing at a time.",
    "When you close this page, the server stops talking to it.",
    "Whatever must not be lost belongs in the database.",
    "If the connection breaks, the browser asks for the words after the last one.",
)


def words(question: str) -> Iterator[str]:
    """Yield the words of the answer, always the same ones for the same question."""
    order = random.Random(question)
    yield from f"{question.strip().rstrip('?.!') or 'Nothing'}? Good question.".split()
    for sentence in order.sample(SENTENCES, 3):
        yield from sentence.split()


class ParrotConsumer(AsyncSseConsumer):
    """Send the words of an answer, one by one."""

    async def connect(self) -> None:
        """Send the words that the browser does not have yet, then an event that says so."""
        query = dict(parse_qsl(self.scope["query_string"].decode(errors="replace")))
        form = PositionForm({"after": self.last_event_id})
        known = (form.cleaned_data["after"] or 0) if form.is_valid() else 0
        for number, word in enumerate(words(query.get("question", "")[:200]), start=1):
            if number > known:
                await asyncio.sleep(settings.WORD_SECONDS)
                await self.send_event(word, id=number)
        # Without this, the browser would connect again.
        await self.send_event("end", event="end")
        await self.close()
