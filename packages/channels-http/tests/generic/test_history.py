"""Streams and held responses in groups whose messages the channel layer keeps."""

from collections.abc import Iterator
from typing import Any

import pytest

from channels_core.consumer import hook
from channels_core.exceptions import MessagesMissed
from channels_core.layer_extensions import (
    History,
    HistoryLimits,
    format_position,
    group_tag,
    parse_position,
)
from channels_core.layers import channel_layers
from channels_core.typing import Message
from channels_http.generic.http import AsyncHttpConsumer
from channels_http.generic.sse import AsyncSseConsumer
from clients import Client, LocalLayer
from event_streams import parse

GROUP = "news"


def position(number: int) -> str:
    return format_position(group_tag(GROUP), "0123abcd", number)


class KeepingLayer(LocalLayer):
    """Keeps all messages of its groups."""

    extensions = ["groups", "history", "gaps"]

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []
        self.keeps = True

    def history_limits(self, group: str) -> HistoryLimits | None:
        return HistoryLimits(1000, 600) if self.keeps else None

    async def group_send(self, group: str, message: Message) -> None:
        self.kept.append({**message, "position": position(len(self.kept) + 1)})
        await super().group_send(group, self.kept[-1])

    async def group_history(
        self, group: str, after: str | None = None, limit: int | None = None
    ) -> History:
        found = parse_position(after)
        newest = position(len(self.kept))
        if after is None:
            return History([], newest, complete=True)
        if found is None:
            return History(self.kept[:limit], newest, complete=False)
        return History(self.kept[found.number :][:limit], newest, complete=True)

    async def receive(self, channel: str) -> dict[str, Any]:
        message = await super().receive(channel)
        if message["type"] == "gap":
            raise MessagesMissed
        return message

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.group_send(GROUP, {"type": "news.item", "text": text})


@pytest.fixture
def keeping() -> Iterator[KeepingLayer]:
    layer = KeepingLayer()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


class Feed(AsyncSseConsumer):
    async def connect(self) -> None:
        await self.join_group(GROUP, after=self.last_event_id)

    async def news_item(self, event: Any) -> None:
        await self.send_event(event["text"], id=event["position"])


class Told(Feed):
    @hook
    async def missed(self, group: str | None) -> None:
        await self.send_event(str(group), event="missed")


class Poll(AsyncHttpConsumer):
    """A held request, which the first message answers."""

    async def handle(self, body: bytes) -> None:
        await self.send_headers()
        await self.join_group(GROUP, after=self.scope["query_string"].decode())
        await self.send_body(b"", more_body=True)

    async def news_item(self, event: Any) -> None:
        await self.send_body(event["text"])


def events(client: Client) -> list[dict[str, str]]:
    return list(parse(b"".join(message["body"] for message in client.sent[1:])))


async def begin(program: Any, **scope: Any) -> Client:
    client = Client(program, **scope)
    client.request()
    await client.messages(2)
    return client


def last_event_id(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"last-event-id", value.encode())]


async def test_a_stream_goes_on_after_the_last_event_of_the_browser(keeping: KeepingLayer) -> None:
    await keeping.say("one", "two", "three")
    client = await begin(Feed, headers=last_event_id(position(1)))
    await client.messages(4)
    await keeping.say("four")
    await client.messages(5)
    assert [event["data"] for event in events(client)] == ["two", "three", "four"]
    client.leave()
    await client.end()


async def test_a_new_stream_gets_what_comes(keeping: KeepingLayer) -> None:
    await keeping.say("one")
    client = await begin(Feed)
    await keeping.say("two")
    await client.messages(3)
    assert [event["data"] for event in events(client)] == ["two"]
    client.leave()
    await client.end()


async def test_a_stream_is_told_of_what_is_gone(keeping: KeepingLayer) -> None:
    await keeping.say("one")
    client = await begin(Told, headers=last_event_id("of another time"))
    await client.messages(4)
    assert [event["data"] for event in events(client)] == ["news", "one"]
    client.leave()
    await client.end()


async def test_a_stream_ends_by_default_when_messages_are_lost(keeping: KeepingLayer) -> None:
    client = await begin(Feed)
    await keeping.say("one")
    await client.messages(3)
    # The group is followed, so that nothing is lost.
    await keeping.send("specific.0", {"type": "gap"})
    await keeping.say("two")
    await client.messages(4)
    keeping.keeps = False
    other = await begin(Feed)
    await keeping.send("specific.1", {"type": "gap"})
    await other.end()
    assert other.sent[-1]["body"] == b""
    assert not client.task.done()
    client.leave()
    await client.end()


async def test_a_held_request_is_answered_by_what_was_missed(keeping: KeepingLayer) -> None:
    await keeping.say("one", "two")
    client = Client(Poll, query_string=position(1).encode())
    client.request()
    status, _, body = await client.whole()
    assert (status, body) == (200, b"two")
    assert keeping.groups == {GROUP: set()}
