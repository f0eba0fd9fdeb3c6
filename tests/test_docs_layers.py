"""What the pages about writing and testing channel layers show, and the tables they have."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.testing import WebsocketCommunicator

import test_layer_contract
from channels_testing.layers import ChannelLayerContract
from docs.snippets import layer_tests
from docs.snippets.small_layer import SmallLayer
from served import ROOT

PAGE = (ROOT / "docs" / "topics" / "testing-layers.md").read_text()


class TestFiveLines(layer_tests.TestMyLayer):
    """... with a clock, so that nothing has to be waited for."""

    latency = 0

    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        self.now = 0.0
        return super().make_layer(clock=lambda: self.now, **options)

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds


class TestCopying(layer_tests.TestMyCopyingLayer):
    """As it is shown."""


class TestSmallLayer(layer_tests.TestSmallLayer):
    """As it is shown."""


class TestConsumersOnTheSmallLayer:
    @pytest.fixture(autouse=True)
    def layer(self) -> Iterator[SmallLayer]:
        layer = SmallLayer()
        before = channel_layers.set("default", layer)
        yield layer
        channel_layers.set("default", before)

    async def test_a_group(self, layer: SmallLayer) -> None:
        class News(AsyncWebsocketConsumer):
            groups = ["news"]

            async def news_item(self, event: dict[str, Any]) -> None:
                await self.send(event["text"])

        others = asyncio.all_tasks()
        client = WebsocketCommunicator(News.as_asgi(), "/")
        await client.connect()
        # One that reads the server, one that handles: the layer needs none.
        assert len(asyncio.all_tasks() - others) == 2
        await layer.group_send("news", {"type": "news.item", "text": "open"})
        assert await client.receive_from() == "open"
        await client.disconnect()


class Standing(layer_tests.TestMyLayer):
    """On a clock that stands still."""

    async def pass_time(self, seconds: float) -> None:
        pass


class Lax(Standing):
    deviations = {"test_a_message_arrives_once": "it is sent again"}


class Narrow(InMemoryChannelLayer):
    """Has one capacity for all its channels."""

    async def new_channel(self, prefix: str = "specific.") -> str:
        return f"{prefix}!{uuid.uuid4().hex}"


class Narrowly(layer_tests.TestMyLayer):
    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        return Narrow(**options)


class Losing(InMemoryChannelLayer):
    """Loses everything."""

    async def send(self, channel: str, message: Any) -> None:
        pass


class Lossy(layer_tests.TestMyLayer):
    timeout = 0.01

    def make_layer(self, **options: Any) -> InMemoryChannelLayer:
        return Losing(**options)


@pytest.mark.parametrize(
    ("contract", "clause"),
    [
        (Standing, "test_a_membership_expires"),
        (Narrowly, "test_a_full_channel_leaves_others_free"),
        (Lossy, "test_a_named_channel_needs_no_receiver"),
        (Lax, "test_a_message_arrives_once"),
    ],
)
def test_the_messages_are_those_that_come(
    contract: type[ChannelLayerContract], clause: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        getattr(contract(), clause)()
    # The page has what a layer with the usual time-out gets.
    told = str(caught.value).replace("0.01 s", "10 s")
    assert f"```text\n{told}\n```" in PAGE


def test_every_clause_is_listed_with_what_it_states() -> None:
    listed = dict(re.findall(r"(?m)^\| `(test_\w+)` \| (.*) \|$", PAGE))
    assert listed == {
        name: getattr(ChannelLayerContract, name).__doc__ for name in ChannelLayerContract.clauses()
    }
    assert f"the {len(listed)} clauses" in PAGE


@pytest.mark.parametrize(
    ("layer", "contract"),
    [
        ("core.RedisChannelLayer", test_layer_contract.TestRedis),
        ("pubsub.RedisPubSubChannelLayer", test_layer_contract.TestRedisPubSub),
    ],
)
def test_what_a_redis_layer_does_otherwise(
    layer: str, contract: type[ChannelLayerContract]
) -> None:
    _, _, table = PAGE.partition(f"`channels_redis.{layer}`:\n\n")
    rows = re.findall(r"(?m)^\| (.*) \| (`test_.*`) \|$", table.partition("\n\n")[0])
    listed = {name: why for why, names in rows for name in re.findall(r"\w+", names)}
    assert listed == contract.deviations


def test_the_attributes_are_all_there_with_their_defaults() -> None:
    listed = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| ", PAGE))
    own = {
        name
        for kind in ChannelLayerContract.__mro__
        for name in vars(kind).get("__annotations__", {})
        if not name.startswith("_")
    }
    assert {name: default.strip("`") for name, default in listed.items()} == {
        name: str(getattr(ChannelLayerContract, name)) for name in own - {"deviations"}
    }
