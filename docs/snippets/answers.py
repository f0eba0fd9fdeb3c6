"""The answer of a language model, token by token, for a page that may be reloaded."""

# The settings have a layer, so `get_channel_layer()` does not return None.
# mypy: disable-error-code="union-attr"

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from secrets import token_urlsafe
from typing import Any

from channels.consumer import AsyncConsumer
from channels.generic.sse import AsyncSseConsumer
from channels.http import AsgiHandler
from channels.layers import get_channel_layer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.http import HttpRequest, JsonResponse
from django.urls import path, re_path
from django.views.decorators.http import require_POST

# begin settings
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {
            "history": {"answer.*": {"size": 5000, "age": 900}},
            "capacity": 1000,
        },
    },
}
# end of settings


async def generate(question: str) -> AsyncIterator[str]:
    """Stand for the client of a model, which yields parts of the answer as they come."""
    for word in f"You have asked: {question}".split():
        await asyncio.sleep(0.05)
        yield f"{word} "


@require_POST
async def ask(request: HttpRequest) -> JsonResponse:
    """Send the question to a worker, and return the id of the answer."""
    answer = token_urlsafe()  # Whoever knows it may read the answer.
    question = json.loads(request.body)["question"]
    job = {"type": "question.answer", "question": question, "group": f"answer.{answer}"}
    await get_channel_layer().send("questions", job)
    return JsonResponse({"answer": answer})


class Questions(AsyncConsumer):
    """Write answers, in a worker, whether a page reads them or not."""

    async def question_answer(self, message: Mapping[str, Any]) -> None:
        group = message["group"]
        async for text in generate(message["question"]):
            await self.channel_layer.group_send(group, {"type": "answer.text", "text": text})
        await self.channel_layer.group_send(group, {"type": "answer.end"})


class Answer(AsyncSseConsumer):
    """Send an answer from its beginning, or from where this browser was."""

    async def connect(self) -> None:
        group = f"answer.{self.scope['url_route']['kwargs']['answer']}"
        # A position that the layer does not know stands for everything that it has kept.
        await self.join_group(group, after=self.last_event_id or "the beginning")

    async def answer_text(self, event: Mapping[str, Any]) -> None:
        await self.send_event({"text": event["text"]}, id=event["position"])

    async def answer_end(self, event: Mapping[str, Any]) -> None:
        # The page closes the stream. If the server did, the browser would come back.
        await self.send_event({}, event="end", id=event["position"])


# begin application
application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [path("answers/<str:answer>/", Answer.as_asgi()), re_path("", AsgiHandler())]
        ),
        "channel": ChannelNameRouter({"questions": Questions.as_asgi()}),
    }
)
# end of application
