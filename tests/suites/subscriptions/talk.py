"""Queries, mutations and subscriptions, with the client of django-channels-graphql-ws."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from channels_graphql_ws import GraphqlWsResponseError
from channels_graphql_ws.testing import GraphqlWsClient, GraphqlWsTransport

from chat import EVENTS, RELEASES, OnMessage, Progress, application

Join = Callable[..., Awaitable[GraphqlWsClient]]

pytestmark = pytest.mark.django_db(transaction=True)
SUBSCRIBE = "subscription ($room: String) { onMessage(room: $room) { text author } }"
SOON = 10


@pytest.fixture(autouse=True)
def forget() -> None:
    EVENTS.clear()
    RELEASES.append(asyncio.Event())


@pytest.fixture(params=["graphql-transport-ws", "graphql-ws"])
async def join(request: Any) -> AsyncIterator[Join]:
    clients = []

    async def joined(path: str = "/chat/", **kwargs: Any) -> GraphqlWsClient:
        transport = GraphqlWsTransport(application, path, subprotocol=request.param)
        client = GraphqlWsClient(transport, subprotocol=request.param)
        await client.connect_and_init(**kwargs)
        clients.append(client)
        return client

    yield joined
    for client in clients:
        if client.connected:
            await client.finalize()


async def said(client: GraphqlWsClient, name: str) -> Any:
    return (await client.receive_next(name))["data"]["onMessage"]["text"]


async def test_a_query(join: Join) -> None:
    client = await join()
    answer = await client.execute("query ($name: String) { hello(name: $name) }", {"name": "ada"})
    assert answer["data"] == {"hello": "hello ada"}


async def test_the_scope_is_there_for_resolvers(join: Join) -> None:
    client = await join()
    assert (await client.execute("{ path }"))["data"] == {"path": "/chat/"}


async def test_an_error_of_a_resolver(join: Join) -> None:
    client = await join()
    with pytest.raises(GraphqlWsResponseError, match="no chat"):
        await client.execute("{ broken }")
    assert (await client.execute("{ hello }"))["data"] == {"hello": "hello you"}


async def test_what_is_no_query(join: Join) -> None:
    client = await join()
    name = await client.start("this is no query")
    with pytest.raises(GraphqlWsResponseError, match="Syntax Error"):
        await client.receive(wait_id=name)


async def test_a_program_refuses_an_operation(join: Join) -> None:
    client = await join()
    name = await client.start("query forbidden { hello }", operation_name="forbidden")
    with pytest.raises(GraphqlWsResponseError, match="not now"):
        await client.receive(wait_id=name)


async def test_a_program_refuses_a_connection() -> None:
    socket = WebsocketCommunicator(application, "/chat/", subprotocols=["graphql-transport-ws"])
    assert await socket.connect() == (True, "graphql-transport-ws")
    await socket.send_json_to({"type": "connection_init", "payload": {"token": "wrong"}})
    message = await socket.receive_output(SOON)
    assert (message["type"], message["code"]) == ("websocket.close", 4403)
    await socket.disconnect()


async def test_a_message_reaches_all_subscribers(join: Join) -> None:
    clients = [await join() for _ in range(3)]
    names = [await client.subscribe(SUBSCRIBE) for client in clients]
    await OnMessage.broadcast(payload={"text": "hello"})
    for client, name in zip(clients, names, strict=True):
        assert await said(client, name) == "hello"


async def test_one_in_another_room_gets_nothing(join: Join) -> None:
    one, other = await join(), await join()
    name = await one.subscribe(SUBSCRIBE, variables={"room": "hall"})
    await other.subscribe(SUBSCRIBE, variables={"room": "garden"})
    await OnMessage.broadcast(group="hall", payload={"text": "hello"})
    assert await said(one, name) == "hello"
    await other.assert_no_messages(attempts=3)


async def test_a_mutation_over_the_socket(join: Join) -> None:
    one, other = await join(), await join()
    name = await one.subscribe(SUBSCRIBE, variables={"room": "hall"})
    say = 'mutation { say(text: "hello", room: "hall") { ok } }'
    assert (await other.execute(say))["data"] == {"say": {"ok": True}}
    assert await said(one, name) == "hello"


async def test_a_model_in_a_message(join: Join) -> None:
    client = await join()
    name = await client.subscribe(SUBSCRIBE)
    await client.start('mutation { sign(name: "ada") { name } }')
    answer = await client.receive(wait_id=name)
    assert answer["data"]["onMessage"] == {"text": "signed", "author": "ada"}
    other = await join()
    assert (await other.execute("{ users }"))["data"] == {"users": 1}


async def test_messages_keep_their_order(join: Join) -> None:
    client = await join("/ordered/")
    name = await client.subscribe(SUBSCRIBE)
    for number in range(30):
        await OnMessage.broadcast(payload={"text": f"n{number}"})
    assert [await said(client, name) for _ in range(30)] == [f"n{one}" for one in range(30)]


async def test_the_latest_of_many_reports(join: Join) -> None:
    """Of the reports that arrive during a send, only the last one is kept."""
    client = await join()
    name = await client.subscribe("subscription { progress { percent } }")
    for percent in range(0, 101, 10):
        await Progress.broadcast(payload=percent)
    # One message more, and handled last: all reports are in the consumer by now.
    marker = await client.subscribe(SUBSCRIBE)
    await OnMessage.broadcast(payload={"text": "sent"})
    assert await said(client, marker) == "sent"
    RELEASES[-1].set()
    percents = []
    while not percents or percents[-1] < 100:
        percents.append((await client.receive_next(name))["data"]["progress"]["percent"])
    assert len(percents) <= 2


async def test_a_message_that_is_not_for_the_client(join: Join) -> None:
    client = await join()
    name = await client.subscribe(SUBSCRIBE)
    await OnMessage.broadcast(payload={"text": "skip"})
    await OnMessage.broadcast(payload={"text": "hello"})
    assert await said(client, name) == "hello"


async def test_the_client_ends_a_subscription(join: Join) -> None:
    client = await join()
    name = await client.subscribe(SUBSCRIBE, variables={"room": "hall"})
    await OnMessage.broadcast(group="hall", payload={"text": "hello"})
    assert await said(client, name) == "hello"
    await client.complete(name)
    await client.receive_complete(name)
    assert EVENTS[-1] == ("unsubscribed", "hall")
    await OnMessage.broadcast(group="hall", payload={"text": "hello"})
    await client.assert_no_messages(attempts=3)


async def test_a_client_that_leaves_leaves_its_groups(join: Join) -> None:
    client = await join()
    name = await client.subscribe(SUBSCRIBE, variables={"room": "hall"})
    await OnMessage.broadcast(group="hall", payload={"text": "hello"})
    assert await said(client, name) == "hello"
    assert get_channel_layer().groups
    await client.finalize()
    assert not {name for name, members in get_channel_layer().groups.items() if members}


async def test_several_subscriptions_of_one_client(join: Join) -> None:
    client = await join()
    names = {
        room: await client.subscribe(SUBSCRIBE, variables={"room": room}) for room in ("a", "b")
    }
    for room in ("b", "a"):
        await OnMessage.broadcast(group=room, payload={"text": f"in {room}"})
        assert await said(client, names[room]) == f"in {room}"


async def test_pings(join: Join) -> None:
    client = await join("/pinging/")
    # The client skips them; the transport does not.
    message = await client.transport.receive(SOON)
    assert message["type"] in {"ping", "ka"}


async def test_a_client_that_does_not_begin_is_closed() -> None:
    transport = GraphqlWsTransport(application, "/patient/")
    client = GraphqlWsClient(transport)
    await client.connect_and_init(connect_only=True)
    await client.wait_disconnect(assert_code=4408)


async def test_a_client_that_begins_twice_is_closed() -> None:
    client = GraphqlWsClient(GraphqlWsTransport(application, "/chat/"))
    await client.connect_and_init()
    await client.send_raw_message({"type": "connection_init", "payload": {}})
    await client.wait_disconnect(assert_code=4429)


async def test_a_client_that_asks_before_it_begins_is_closed() -> None:
    client = GraphqlWsClient(GraphqlWsTransport(application, "/chat/"))
    await client.connect_and_init(connect_only=True)
    await client.start("{ hello }")
    await client.wait_disconnect(assert_code=4401)


async def test_an_unknown_message_is_closed() -> None:
    client = GraphqlWsClient(GraphqlWsTransport(application, "/chat/"))
    await client.connect_and_init()
    await client.send_raw_message({"type": "unknown"})
    await client.wait_disconnect(assert_code=4400)
