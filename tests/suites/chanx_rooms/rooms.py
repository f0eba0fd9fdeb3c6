"""What chanx documents of typed messages, groups, events, topics and log-ins."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from chanx.channels.testing import (
    DjangoWebsocketCommunicator,
    WebsocketCommunicator,
    WebsocketTestCase,
)
from chanx.core.testing import capture_broadcast_events
from chanx.messages.incoming import PingMessage
from chanx.messages.outgoing import PongMessage
from django.contrib.auth.models import User
from django.test import Client
from site_of_rooms import (
    EVENTS,
    ClubConsumer,
    Fail,
    Leave,
    MarketConsumer,
    Move,
    News,
    Price,
    Prices,
    RoomConsumer,
    Said,
    Say,
    application,
)

# Upstream closes old connections of the database before and after each message.
pytestmark = pytest.mark.django_db


def enter(path: str = "/rooms/hall/", consumer: Any = RoomConsumer, **kwargs: Any) -> Any:
    return WebsocketCommunicator(application, path, consumer=consumer, **kwargs)


@pytest.fixture(autouse=True)
def forget() -> None:
    EVENTS.clear()


class TestMessages:
    async def test_a_message_is_answered_and_its_end_is_told(self) -> None:
        async with enter() as socket:
            await socket.send_message(PingMessage())
            assert await socket.receive_all_json(0.2) == [
                {"action": "pong", "payload": None},
                {"action": "complete", "payload": None},
            ]

    async def test_messages_are_read_until_the_end_of_the_handling(self) -> None:
        async with enter() as socket:
            await socket.send_message(PingMessage())
            assert await socket.receive_all_messages() == [PongMessage()]

    async def test_what_is_no_message_is_answered_and_the_connection_stays(self) -> None:
        async with enter() as socket:
            await socket.send_json_to({"action": "say", "payload": {"txt": "hello"}})
            first, *_ = await socket.receive_all_json(0.2)
            assert first["action"] == "error"
            await socket.send_json_to({"action": "unknown"})
            first, *_ = await socket.receive_all_json(0.2)
            assert first["action"] == "error"
            await socket.send_message(PingMessage())
            assert await socket.receive_all_messages() == [PongMessage()]

    async def test_text_that_is_not_json_is_answered(self) -> None:
        async with enter() as socket:
            await socket.send_to(text_data="{no json")
            assert (await socket.receive_json_from())["action"] == "error"
            await socket.send_message(PingMessage())
            assert await socket.receive_all_messages() == [PongMessage()]

    async def test_an_exception_tells_nothing_and_the_connection_stays(self) -> None:
        async with enter() as socket:
            await socket.send_message(Fail())
            (error,) = await socket.receive_all_messages()
            assert error.action == "error"
            assert "secret" not in str(error)
            await socket.send_message(PingMessage())
            assert await socket.receive_all_messages() == [PongMessage()]

    async def test_the_consumer_knows_its_path(self) -> None:
        async with enter():
            pass
        assert EVENTS[0] == ("path", "/rooms/hall/", {"room": "hall"})

    async def test_a_close_of_the_consumers(self) -> None:
        async with enter() as socket:
            await socket.send_message(Leave())
            await socket.assert_closed(4000)


class TestGroups:
    async def test_what_one_says_all_hear(self) -> None:
        async with enter() as one, enter("/rooms/garden/") as other:
            await one.send_message(Say(payload={"text": "hello"}))
            heard = [Said(payload={"text": "hello"})]
            assert await one.receive_all_messages("group_complete") == heard
            assert await other.receive_all_messages("group_complete") == heard

    async def test_who_left_is_in_no_group(self) -> None:
        async with enter() as socket:
            await socket.send_message(Move(payload={"text": "attic"}))
            await socket.receive_all_messages()
            layer = get_channel_layer()
            assert {"rooms", "attic"} <= set(layer.groups)
        assert EVENTS[-1] == ("left", 1000, ["attic", "rooms"])
        assert not {name for name, members in layer.groups.items() if members}

    async def test_a_group_that_was_joined_later(self) -> None:
        async with enter() as socket:
            await socket.send_message(Move(payload={"text": "attic"}))
            await socket.receive_all_messages()
            await RoomConsumer.broadcast_event(News(payload={"text": "rain"}), "attic")
            news = [News(payload={"text": "rain"})]
            assert await socket.receive_all_messages("event_complete") == news

    async def test_an_event_for_the_consumers_own_groups(self) -> None:
        async with enter() as one, enter() as other:
            await RoomConsumer.broadcast_event(News(payload={"text": "rain"}))
            for socket in (one, other):
                news = [News(payload={"text": "rain"})]
                assert await socket.receive_all_messages("event_complete") == news

    async def test_events_are_captured_in_tests(self) -> None:
        with capture_broadcast_events(RoomConsumer) as captured:
            await RoomConsumer.broadcast_event(News(payload={"text": "rain"}), "attic")
        assert [(one.event.payload.text, one.groups) for one in captured] == [("rain", "attic")]


class TestTopics:
    async def test_a_subscriber_gets_what_is_sent_to_its_topic(self) -> None:
        async with enter("/market/", MarketConsumer) as socket:
            reply = await socket.subscribe("prices:abc")
            assert reply["topic"] == "prices:abc"
            await Prices.broadcast("prices:xyz", Price(payload={"text": "9"}))
            await Prices.broadcast("prices:abc", Price(payload={"text": "10"}))
            assert (await socket.receive_topic_message(Prices)).payload.text == "10"

    async def test_none_after_it_has_unsubscribed(self) -> None:
        async with enter("/market/", MarketConsumer) as socket:
            await socket.subscribe("prices:abc")
            await socket.unsubscribe("prices:abc")
            await socket.receive_all_json(0.1)
            await Prices.broadcast("prices:abc", Price(payload={"text": "10"}))
            assert await socket.receive_nothing()


@pytest.mark.django_db(transaction=True)
class TestLogIns:
    async def headers(self) -> Any:
        user = await User.objects.acreate(username="ada")
        client = Client()
        await sync_to_async(client.force_login)(user)
        cookie = f"sessionid={client.cookies['sessionid'].value}"
        return [(b"cookie", cookie.encode()), (b"host", b"testserver")]

    async def test_a_member_is_let_in(self) -> None:
        socket = DjangoWebsocketCommunicator(
            application, "/club/", consumer=ClubConsumer, headers=await self.headers()
        )
        async with socket:
            await socket.assert_authenticated_status_ok(max_auth_time=3)
            await socket.send_message(PingMessage())
            assert PongMessage() in await socket.receive_all_messages()

    async def test_a_stranger_is_told_and_closed(self) -> None:
        socket = DjangoWebsocketCommunicator(application, "/club/", consumer=ClubConsumer)
        async with socket:
            told = await socket.wait_for_auth(max_auth_time=3)
            assert told.payload.status_code in {401, 403}
            await socket.assert_closed(4000 + told.payload.status_code)
        assert EVENTS == [("left", 1000, ["club"])]


class TestCaseOfThePackage(WebsocketTestCase):
    ws_path = "/rooms/hall/"
    consumer = RoomConsumer

    async def test_its_application_is_found(self) -> None:
        await self.auth_communicator.connect()
        await self.auth_communicator.send_message(PingMessage())
        assert await self.auth_communicator.receive_all_messages() == [PongMessage()]

    async def test_events_from_code_without_a_loop(self) -> None:
        await self.auth_communicator.connect()
        event = News(payload={"text": "rain"})
        await sync_to_async(RoomConsumer.broadcast_event_sync)(event)
        found = await self.auth_communicator.receive_all_messages("event_complete")
        assert found == [event]
