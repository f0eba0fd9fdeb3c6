"""What the pages about history and presence show, with the memory layer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.http import HttpRequest
from django.urls import path

from channels_core.layers import BaseChannelLayer
from docs.snippets import presence, resuming
from test_docs import Request

OPTIONS = cast("dict[str, Any]", resuming.CHANNEL_LAYERS["default"]["CONFIG"])


@pytest.fixture(autouse=True)
def layer() -> Iterator[InMemoryChannelLayer]:
    made = InMemoryChannelLayer(**OPTIONS, member_linger=0.01)
    before = channel_layers.set("default", made)
    yield made
    channel_layers.set("default", before)


@asynccontextmanager
async def page(kind: Any, after: str = "") -> AsyncIterator[WebsocketCommunicator]:
    application = URLRouter([path("room/<slug:name>/", kind.as_asgi())])
    client = WebsocketCommunicator(application, f"/room/tea/?after={after}")
    accepted, _ = await client.connect()
    assert accepted
    yield client
    await client.disconnect()


async def say(layer: BaseChannelLayer, *texts: str, group: str = "room.tea") -> None:
    for text in texts:
        await layer.group_send(group, {"type": "room.line", "text": text})


async def lines(client: WebsocketCommunicator, count: int) -> list[str]:
    return [(await client.receive_json_from())["text"] for _ in range(count)]


class TestRoom:
    async def test_a_page_that_comes_back_gets_what_it_has_missed(
        self, layer: InMemoryChannelLayer
    ) -> None:
        async with page(resuming.Room) as client:
            await client.send_json_to({"text": "one"})
            last = (await client.receive_json_from())["position"]
        await say(layer, "two", "three")
        async with page(resuming.Room, last) as client:
            assert await lines(client, 2) == ["two", "three"]
            await client.send_json_to({"text": "four"})
            assert await lines(client, 1) == ["four"]

    async def test_a_channel_that_was_full_is_made_good(self) -> None:
        layer = InMemoryChannelLayer(**OPTIONS, capacity=3)
        channel_layers.set("default", layer)
        told = [str(number) for number in range(150)]
        async with page(resuming.Room) as client:
            await say(layer, *told)  # without a turn of the event loop in between
            await say(layer, "the last")
            assert await lines(client, 151) == [*told, "the last"]

    async def test_a_page_that_nobody_has_told_anything_hears_what_comes(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await say(layer, "before")
        async with page(resuming.Room) as client:
            await say(layer, "now")
            assert await lines(client, 1) == ["now"]

    async def test_what_is_left_comes_for_a_position_that_is_not_known(
        self, layer: InMemoryChannelLayer
    ) -> None:
        await say(layer, "one", "two")
        async with page(resuming.Room, "nonsense") as client:
            assert await lines(client, 2) == ["one", "two"]

    async def test_a_page_may_load_everything_again(self, layer: InMemoryChannelLayer) -> None:
        await say(layer, "one")
        async with page(resuming.Board, "nonsense") as client:
            assert await client.receive_json_from() == {"reload": True}
            assert await lines(client, 1) == ["one"]

    async def test_pages_come_and_go_while_the_room_talks(self) -> None:
        """Whenever a page comes back, it has heard each line once, in order."""
        layer = InMemoryChannelLayer(history={"room.*": {"size": 400, "age": 600}}, capacity=2)
        channel_layers.set("default", layer)

        async def talk() -> None:
            for number in range(400):
                await say(layer, str(number))
                if number % 3 == 0:
                    await asyncio.sleep(0)

        heard: list[str] = []
        last = (await layer.group_history("room.tea", limit=0)).position
        talking = asyncio.create_task(talk())
        while len(heard) < 400:
            async with page(resuming.Room, last) as client:
                for _ in range(min(7, 400 - len(heard))):
                    line = await client.receive_json_from()
                    heard.append(line["text"])
                    last = line["position"]
        await talking
        assert heard == [str(number) for number in range(400)]


class TestTicker:
    async def test_a_browser_sends_the_last_id_by_itself(self, layer: InMemoryChannelLayer) -> None:
        stream = Request(resuming.Ticker.as_asgi())
        await stream.send()
        assert (await stream.begin())[0] == 200
        await stream.part()
        await say(layer, "one", group="room.ticker")
        event = await stream.event()
        assert event["data"] == "one"
        await stream.leave()
        await stream.link.wait()
        await say(layer, "two", "three", group="room.ticker")
        again = Request(
            resuming.Ticker.as_asgi(), headers=[(b"last-event-id", event["id"].encode())]
        )
        await again.send()
        await again.begin()
        assert [(await again.event())["data"] for _ in range(2)] == ["two", "three"]
        await again.leave()
        await again.link.wait()


async def test_the_view_shows_the_last_lines(layer: InMemoryChannelLayer) -> None:
    await say(layer, *"abcdefghijkl")
    answer = json.loads((await resuming.latest(HttpRequest())).content)
    assert answer["lines"] == [*"cdefghijkl"]
    async with page(resuming.Room, answer["position"]) as client:
        await say(layer, "m")
        assert await lines(client, 1) == ["m"]


class TestLobby:
    def enter(self, number: int, name: str) -> WebsocketCommunicator:
        client = WebsocketCommunicator(presence.Lobby.as_asgi(), "/")
        client.scope["user"] = SimpleNamespace(pk=number, get_username=lambda: name)
        return client

    async def test_pages_see_who_comes_and_leaves(self, layer: InMemoryChannelLayer) -> None:
        ann, bob = {"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}
        first = self.enter(1, "Ann")
        await first.connect()
        assert await first.receive_json_from() == {"here": [{**ann, "connections": 1}]}
        assert await first.receive_json_from() == {"joined": ann}
        second, tab = self.enter(2, "Bob"), self.enter(2, "Bob")
        await second.connect()
        assert await first.receive_json_from() == {"joined": bob}
        both = [{**ann, "connections": 1}, {**bob, "connections": 1}]
        assert await second.receive_json_from() == {"here": both}
        await tab.connect()
        assert (await tab.receive_json_from())["here"][1] == {**bob, "connections": 2}
        await tab.disconnect()
        await second.disconnect()
        assert await first.receive_json_from() == {"left": bob}
        await first.disconnect()

    def test_a_view_asks_who_is_here(self, layer: InMemoryChannelLayer) -> None:
        layer.group_add_sync("lobby", "specific.1!1", member={"id": 1})
        answer = json.loads(presence.who_is_here(HttpRequest()).content)
        assert answer == {"here": [{"id": 1, "connections": 1}]}
