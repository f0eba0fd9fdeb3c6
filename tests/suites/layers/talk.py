"""What a site's consumers need from any channel layer."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from channels.testing import HttpCommunicator, WebsocketCommunicator

from chat import application
from settings import LAYERS

Enter = Callable[[str], Awaitable[WebsocketCommunicator]]

#: Seconds in which a message arrives, however busy the machine is.
SOON = 10
#: Seconds in which none comes.
WHILE = 0.5

pytestmark = pytest.mark.django_db(transaction=True)
#: One of the layers has none.
workers = pytest.mark.skipif("NO_WORKERS" in os.environ, reason="only its own channels receive")


@pytest.fixture(params=LAYERS, ids=[one["BACKEND"].rpartition(".")[-1] for one in LAYERS])
async def layer(request: Any, settings: Any) -> AsyncIterator[Any]:
    settings.CHANNEL_LAYERS = {"default": request.param}
    layer = get_channel_layer()
    yield layer
    for name in ("close", "close_pools"):
        if close := getattr(layer, name, None):
            await close()
            break


@pytest.fixture
async def enter(layer: Any) -> AsyncIterator[Enter]:
    sockets = []

    async def connect(path: str) -> WebsocketCommunicator:
        socket = WebsocketCommunicator(application, path)
        sockets.append(socket)
        assert await socket.connect(timeout=SOON) == (True, None)
        return socket

    yield connect
    for socket in sockets:
        await socket.disconnect(timeout=SOON)


@pytest.fixture
def room() -> str:
    return f"room-{uuid4().hex}"


async def name_of(socket: WebsocketCommunicator) -> str:
    await socket.send_json_to({})
    return (await socket.receive_json_from(SOON))["me"]


async def test_a_message_to_a_channel_of_this_process(layer: Any) -> None:
    name = await layer.new_channel()
    await layer.send(name, {"type": "some.type", "number": 1, "list": [True, None, "ü"]})
    async with asyncio.timeout(SOON):
        message = await layer.receive(name)
    assert message == {"type": "some.type", "number": 1, "list": [True, None, "ü"]}


async def test_messages_keep_their_order(layer: Any) -> None:
    name = await layer.new_channel()
    for number in range(20):
        await layer.send(name, {"type": "some.type", "number": number})
    async with asyncio.timeout(SOON):
        received = [(await layer.receive(name))["number"] for _ in range(20)]
    assert received == list(range(20))


async def test_a_full_channel_says_so(layer: Any) -> None:
    if "PubSub" in type(layer).__name__:
        pytest.skip("publishing drops what nobody takes")
    name = await layer.new_channel()

    async def fill() -> None:
        for _ in range(1000):
            await layer.send(name, {"type": "some.type"})

    with pytest.raises(ChannelFull):
        await fill()


@pytest.mark.parametrize("name", ["with space", "", "a" * 200, 5])
async def test_a_bad_name_is_a_type_error(layer: Any, name: Any) -> None:
    if "PubSub" in type(layer).__name__:
        pytest.skip("publishing takes any name")
    channel = await layer.new_channel()
    with pytest.raises(TypeError):
        await layer.group_add(name, channel)
    with pytest.raises(TypeError):
        await layer.send(name, {"type": "some.type"})


async def test_all_in_a_room_hear_what_is_said(enter: Enter, room: str) -> None:
    one, other = await enter(f"/room/{room}/"), await enter(f"/room/{room}/")
    await one.send_json_to({"say": "hello"})
    assert await one.receive_json_from(SOON) == {"said": "hello", "mine": True}
    assert await other.receive_json_from(SOON) == {"said": "hello", "mine": False}


async def test_nobody_hears_it_in_another_room(enter: Enter, room: str) -> None:
    one, other = await enter(f"/room/{room}/"), await enter(f"/room/{room}-2/")
    await one.send_json_to({"say": "hello"})
    assert await one.receive_json_from(SOON) == {"said": "hello", "mine": True}
    assert await other.receive_nothing(WHILE)


async def test_who_has_left_the_group_hears_nothing(enter: Enter, room: str) -> None:
    one, other = await enter(f"/room/{room}/"), await enter(f"/room/{room}/")
    await other.send_json_to({"leave": room})
    assert await other.receive_json_from(SOON) == {"left": room}
    await one.send_json_to({"say": "hello"})
    assert await one.receive_json_from(SOON) == {"said": "hello", "mine": True}
    assert await other.receive_nothing(WHILE)


async def test_who_has_gone_disturbs_nobody(enter: Enter, room: str) -> None:
    one, other = await enter(f"/room/{room}/"), await enter(f"/room/{room}/")
    await other.disconnect(timeout=SOON)
    for text in ("first", "second"):
        await one.send_json_to({"say": text})
        assert await one.receive_json_from(SOON) == {"said": text, "mine": True}


async def test_a_whisper_reaches_one_alone(enter: Enter, room: str) -> None:
    one, other = await enter(f"/room/{room}/"), await enter(f"/room/{room}/")
    await one.send_json_to({"whisper": "psst", "to": await name_of(other)})
    assert await other.receive_json_from(SOON) == {"whispered": "psst"}
    assert await one.receive_nothing(WHILE)


async def test_many_at_once(enter: Enter, room: str) -> None:
    sockets = [await enter(f"/room/{room}/") for _ in range(10)]
    for number, socket in enumerate(sockets):
        await socket.send_json_to({"say": number})
    for socket in sockets:
        heard = [(await socket.receive_json_from(SOON))["said"] for _ in sockets]
        assert sorted(heard) == list(range(10))


async def test_a_sync_consumer_sends_and_hears(enter: Enter) -> None:
    one, other = await enter("/notices/"), await enter("/notices/")
    await one.send_json_to({"notice": "rain"})
    assert await one.receive_json_from(SOON) == {"notice": "rain"}
    assert await other.receive_json_from(SOON) == {"notice": "rain"}


async def test_a_view_reaches_the_sockets(enter: Enter) -> None:
    socket = await enter("/notices/")
    request = HttpCommunicator(application, "GET", "/post/storm/")
    response = await request.get_response(timeout=SOON)
    assert (response["status"], response["body"]) == (200, b"posted")
    assert await socket.receive_json_from(SOON) == {"notice": "storm"}


@workers
async def test_a_worker_takes_what_is_sent_to_its_channel(
    enter: Enter, layer: Any, room: str
) -> None:
    socket = await enter(f"/room/{room}/")
    await socket.send_json_to({"work": 21})
    async with asyncio.timeout(SOON):
        message = await layer.receive("work")
    worker = ApplicationCommunicator(application, {"type": "channel", "channel": "work"})
    await worker.send_input(message)
    assert await socket.receive_json_from(SOON) == {"done": 42}
    await worker.wait(0.1)
