"""Requests that meet an outage of the channel layer."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from channels_core.layers import channel_layers
from channels_http.generic.http import AsyncHttpConsumer
from channels_http.generic.sse import AsyncSseConsumer
from clients import Client, LocalLayer

SERVED: dict[str, Any] = {"asgi": {"version": "3.0"}}


class Away(LocalLayer):
    """A layer whose store is away."""

    async def group_add(self, group: str, channel: str) -> None:
        raise ConnectionError("no store")

    async def group_discard(self, group: str, channel: str) -> None:
        raise ConnectionError("no store")

    async def group_send(self, group: str, message: Any) -> None:
        raise ConnectionError("no store")


class Post(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        if body == b"late":
            await self.send_headers(status=200)
            await self.send_body(b"begun", more_body=True)
        await self.channel_layer.group_send("room", {"type": "room.said"})


class Feed(AsyncSseConsumer):
    groups = ["room"]


@pytest.fixture
def layer() -> Iterator[Away]:
    layer = Away()
    channel_layers.set("default", layer)
    yield layer
    channel_layers.set("default", None)


@pytest.mark.parametrize("program", [Post, Feed])
async def test_the_answer_is_503_and_one_line(
    program: Any, layer: Away, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        client = Client(program, **SERVED)
        client.request()
        status, _, body = await client.whole()
        assert (status, body) == (503, b"Service Unavailable")
    (record,) = caplog.records
    assert record.name == "django.channels.layers"
    assert record.exc_info is None


async def test_a_test_sees_the_exception(layer: Away) -> None:
    client = Client(Post)
    client.request()
    with pytest.raises(ConnectionError, match="no store"):
        await client.end()


async def test_a_response_that_has_begun_is_not_complete(
    layer: Away, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    client = Client(Post, "POST", headers=[(b"content-length", b"4")], **SERVED)
    client.request(b"late")
    await client.end()
    assert client.sent[0]["status"] == 200
    assert client.sent[-1]["more_body"]
    (record,) = caplog.records
    assert record.exc_info is None
