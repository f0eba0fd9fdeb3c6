"""Tests in the style of pytest, with pytest-asyncio and pytest-django."""

from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User

from chat.models import Message
from docs.snippets.desk import Counter, Desk, application
from docs.snippets.events import Prices
from docs.snippets.long_polls import NextMessage

__all__ = [
    "anna",
    "test_a_consumer_alone",
    "test_a_count",
    "test_a_goodbye",
    "test_a_long_poll",
    "test_a_long_poll_that_is_left",
    "test_a_message_that_the_test_wrote",
    "test_a_stream_of_prices",
    "test_a_worker",
    "test_a_wrong_word",
    "test_an_export",
    "test_an_export_part_by_part",
    "test_message_by_message",
    "test_news",
    "test_strangers",
    "test_two_members",
]


@pytest.fixture
def anna(db: None) -> User:
    """Create a user who has written a message."""
    Message.objects.create(room="tea", author="anna", text="Milk?")
    return User.objects.create_user("anna")


async def test_a_count(anna: User) -> None:
    async with WebsocketCommunicator(application, "/desk/", user=anna) as socket:
        await socket.send_json_to("count")
        assert await socket.receive_json_from() == {"messages": 1}


@pytest.mark.usefixtures("lent_connections")
async def test_a_message_that_the_test_wrote(anna: User) -> None:
    await Message.objects.acreate(room="tea", author="anna", text="Sugar?")
    async with WebsocketCommunicator(application, "/desk/", user=anna) as socket:
        await socket.send_json_to("count")
        assert await socket.receive_json_from() == {"messages": 2}


async def test_strangers(db: None) -> None:
    socket = WebsocketCommunicator(application, "/desk/", denial_response=True)
    await socket.assert_denied(401)
    assert socket.denial is not None
    assert socket.denial.body == b"Log in first."


async def test_a_goodbye(anna: User) -> None:
    async with WebsocketCommunicator(application, "/desk/", user=anna) as socket:
        await socket.send_json_to("leave")
        await socket.assert_closed(4000)
        assert socket.close_reason == "Bye."


async def test_a_wrong_word(anna: User) -> None:
    async with WebsocketCommunicator(application, "/desk/", user=anna) as socket:
        await socket.send_json_to("hello")
        assert await socket.receive_nothing()
        await socket.send_json_to("count")
        assert await socket.receive_json_from(keep_running=True) == {"messages": 1}


async def test_a_consumer_alone(anna: User) -> None:
    async with WebsocketCommunicator(Desk, "/", user=anna) as socket:
        await socket.send_json_to("count")
        assert await socket.receive_json_from() == {"messages": 1}


async def test_news(anna: User, channel_layer: Any) -> None:
    async with WebsocketCommunicator(application, "/desk/", user=anna) as socket:
        await channel_layer.group_send("desk", {"type": "desk.news", "text": "We open."})
        assert await socket.receive_json_from() == {"news": "We open."}


async def test_two_members(
    anna: User, channel_layer: Any, websocket_communicator: Callable[..., WebsocketCommunicator]
) -> None:
    first = websocket_communicator(application, "/desk/", user=anna)
    second = websocket_communicator(application, "/desk/", user=anna)
    assert await first.connect() == (True, None)
    assert await second.connect() == (True, None)
    await channel_layer.group_send("desk", {"type": "desk.news", "text": "We open."})
    assert await first.receive_json_from() == await second.receive_json_from()


async def test_an_export(anna: User) -> None:
    request = HttpCommunicator(application, "GET", "/export/", user=anna)
    response = await request.get_response()
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain"
    assert response.text == "Milk?\n"


async def test_an_export_part_by_part(anna: User) -> None:
    async with HttpCommunicator(application, "GET", "/export/", user=anna) as request:
        assert request.response is not None
        assert request.response.status == 200
        assert [part async for part in request.iter_body()] == [b"Milk?\n"]


async def test_a_stream_of_prices(channel_layer: Any) -> None:
    async with HttpCommunicator(Prices, "GET", "/prices/") as client:
        assert (await client.receive_body()).startswith(b":")
        await channel_layer.group_send(
            "prices", {"type": "price.changed", "item": "tea", "price": 3}
        )
        event = await client.receive_body()
    assert event == b'event: price\ndata: {"item": "tea", "price": 3}\n\n'


async def test_a_long_poll(channel_layer: Any) -> None:
    client = HttpCommunicator(NextMessage, "GET", "/next/")
    await client.start_response()
    await channel_layer.group_send("chat", {"type": "chat.message", "text": "Milk?"})
    response = await client.get_response()
    assert response.json()["text"] == "Milk?"


async def test_a_long_poll_that_is_left(channel_layer: Any) -> None:
    client = HttpCommunicator(NextMessage, "GET", "/next/")
    response = await client.start_response()
    await client.disconnect()
    assert response.body == b""


async def test_message_by_message(anna: User) -> None:
    socket = WebsocketCommunicator(application, "/desk/", user=anna, spec_version="2.3")
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output()
    assert answer["type"] == "websocket.accept"
    await socket.send_input({"type": "websocket.disconnect", "code": 1001})
    await socket.wait()


async def test_a_worker(anna: User, channel_layer: Any) -> None:
    scope = {"type": "channel", "channel": "counting"}
    async with ApplicationCommunicator(Counter, scope) as worker:
        await worker.send_input({"type": "count.rooms", "answer": "answers"})
        assert await channel_layer.receive("answers") == {"type": "rooms.counted", "rooms": 1}
