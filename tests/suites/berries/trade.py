"""Queries, mutations and subscriptions of strawberry-graphql, over HTTP and WebSocket."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels.testing import HttpCommunicator, WebsocketCommunicator
from market import EVENTS, application, own, schema
from strawberry.channels import GraphQLProtocolTypeRouter
from strawberry.channels.testing import GraphQLWebsocketCommunicator
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL

# Upstream closes old connections of the database before and after each message.
pytestmark = pytest.mark.django_db(transaction=True)
SOON = 5
protocols = pytest.mark.parametrize(
    "protocol", [GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL]
)


@pytest.fixture(autouse=True)
def forget() -> None:
    EVENTS.clear()


async def ask(
    query: str, *, to: Any = application, path: str = "/graphql", **kwargs: Any
) -> tuple[int, Any, dict[bytes, bytes]]:
    headers = [(b"content-type", b"application/json"), (b"x-name", b"ada")]
    body = json.dumps({"query": query, **kwargs}).encode()
    answer = await HttpCommunicator(to, "POST", path, body=body, headers=headers).get_response(SOON)
    return answer["status"], json.loads(answer["body"]), dict(answer["headers"])


class TestHttp:
    async def test_a_query(self) -> None:
        status, answer, headers = await ask("{ berries { name price } }")
        assert status == 200
        assert answer["data"]["berries"][1] == {"name": "goose", "price": 2}
        assert headers[b"Content-Type"].startswith(b"application/json")

    async def test_variables(self) -> None:
        query = "query ($name: String!) { hello(name: $name) }"
        _, answer, _ = await ask(query, variables={"name": "ada"})
        assert answer["data"] == {"hello": "hello ada"}

    async def test_a_query_by_get(self) -> None:
        request = HttpCommunicator(application, "GET", "/graphql?query={hello}")
        assert json.loads((await request.get_response(SOON))["body"])["data"] == {
            "hello": "hello you"
        }

    async def test_an_error_of_a_resolver(self) -> None:
        status, answer, _ = await ask("{ broken }")
        assert status == 200
        assert answer["errors"][0]["message"] == "no berries"

    @pytest.mark.parametrize("body", [b"{no json", b"[]", b'{"query": 5}'])
    async def test_what_is_no_query(self, body: bytes) -> None:
        headers = [(b"content-type", b"application/json")]
        request = HttpCommunicator(application, "POST", "/graphql", body=body, headers=headers)
        assert (await request.get_response(SOON))["status"] == 400

    async def test_another_method(self) -> None:
        request = HttpCommunicator(application, "PUT", "/graphql")
        assert (await request.get_response(SOON))["status"] == 405

    async def test_the_page_for_people(self) -> None:
        headers = [(b"accept", b"text/html")]
        request = HttpCommunicator(application, "GET", "/graphql", headers=headers)
        answer = await request.get_response(SOON)
        assert b"<html" in answer["body"].lower()
        assert dict(answer["headers"])[b"Content-Type"].startswith(b"text/html")

    async def test_a_resolver_reads_the_request_and_sets_the_response(self) -> None:
        status, answer, headers = await ask("{ stall }")
        assert status == 203
        assert answer["data"] == {"stall": "ada/graphql"}
        assert headers[b"X-Stall"] == b"7"

    async def test_other_paths_are_djangos(self) -> None:
        answer = await HttpCommunicator(application, "GET", "/").get_response(SOON)
        assert answer["body"] == b"the page"

    async def test_a_file_is_sent(self) -> None:
        parts = {
            "operations": json.dumps(
                {
                    "query": "mutation ($file: Upload!) { read(file: $file) }",
                    "variables": {"file": None},
                }
            ),
            "map": json.dumps({"file": ["variables.file"]}),
        }
        body = "".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in parts.items()
        )
        body += (
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
            "Content-Type: text/plain\r\n\r\nripe\r\n--x--\r\n"
        )
        headers = [
            (b"content-type", b"multipart/form-data; boundary=x"),
            (b"content-length", str(len(body)).encode()),
        ]
        request = HttpCommunicator(own, "POST", "/a/", body=body.encode(), headers=headers)
        answer = await request.get_response(SOON)
        assert json.loads(answer["body"]) == {"data": {"read": "ripe"}}

    async def test_a_get_that_is_not_wanted(self) -> None:
        request = HttpCommunicator(own, "GET", "/a/?query={hello}")
        assert (await request.get_response(SOON))["status"] == 400

    async def test_a_synchronous_schema(self) -> None:
        _, answer, _ = await ask("{ berries { name } }", to=own, path="/sync/")
        assert answer["data"] == {"berries": [{"name": "black"}]}


async def joined(
    path: str = "/graphql", to: Any = application, **kwargs: Any
) -> GraphQLWebsocketCommunicator:
    socket = GraphQLWebsocketCommunicator(to, path, **kwargs)
    await socket.gql_init()
    return socket


@pytest.fixture
async def socket() -> AsyncIterator[GraphQLWebsocketCommunicator]:
    socket = await joined()
    yield socket
    await socket.disconnect()


async def begin(socket: Any, query: str, name: str = "1") -> None:
    message = {"id": name, "type": "subscribe", "payload": {"query": query}}
    await socket.send_json_to(message)


class TestWebSocket:
    async def test_a_subscription(self, socket: Any) -> None:
        query = "subscription { count(upTo: 3) }"
        assert [one.data["count"] async for one in socket.subscribe(query=query)] == [0, 1, 2]

    async def test_the_older_protocol(self) -> None:
        # Its answers are read here: the package's communicator reads those of the newer one.
        socket = await joined(protocol=GRAPHQL_WS_PROTOCOL)
        payload = {"query": "subscription { count(upTo: 2) }"}
        await socket.send_json_to({"type": "start", "id": "1", "payload": payload})
        answers = [await socket.receive_json_from(SOON) for _ in range(3)]
        assert [one["type"] for one in answers] == ["data", "data", "complete"]
        await socket.send_json_to({"type": "connection_terminate"})
        assert (await socket.receive_output(SOON))["type"] == "websocket.close"
        await socket.disconnect()

    async def test_several_at_once(self, socket: Any) -> None:
        for name in ("a", "b"):
            await begin(socket, "subscription { count(upTo: 2) }", name)
        answers = [await socket.receive_json_from(SOON) for _ in range(6)]
        for name in ("a", "b"):
            types = [one["type"] for one in answers if one["id"] == name]
            assert types == ["next", "next", "complete"]

    async def test_a_query_over_the_socket(self, socket: Any) -> None:
        (answer,) = [one async for one in socket.subscribe(query="{ hello }")]
        assert answer.data == {"hello": "hello you"}

    async def test_an_error_of_a_subscription(self, socket: Any) -> None:
        answers = [one async for one in socket.subscribe(query="subscription { broken }")]
        assert answers[0].data == {"broken": "whole"}
        assert answers[1].errors[0].message == "no berries"

    async def test_a_query_that_does_not_fit_the_schema(self, socket: Any) -> None:
        (answer,) = [one async for one in socket.subscribe(query="subscription { nothing }")]
        assert "nothing" in answer.errors[0].message

    async def test_the_parameters_of_the_connection(self) -> None:
        socket = await joined(connection_params={"token": "secret"})
        (answer,) = [one async for one in socket.subscribe(query="subscription { params }")]
        assert answer.data == {"params": "secret"}
        await socket.disconnect()

    async def test_a_ping_is_answered(self, socket: Any) -> None:
        await socket.send_json_to({"type": "ping"})
        assert await socket.receive_json_from(SOON) == {"type": "pong"}

    async def test_a_subscription_that_is_ended_by_the_client(self, socket: Any) -> None:
        await begin(socket, "subscription { wait }")
        assert (await socket.receive_json_from(SOON))["payload"]["data"] == {"wait": "waiting"}
        await socket.send_json_to({"id": "1", "type": "complete"})
        await socket.send_json_to({"type": "ping"})
        assert await socket.receive_json_from(SOON) == {"type": "pong"}
        assert EVENTS == ["waited"]

    async def test_one_that_runs_when_the_client_leaves(self) -> None:
        socket = await joined()
        await begin(socket, "subscription { wait }")
        await socket.receive_json_from(SOON)
        await socket.disconnect(timeout=SOON)
        assert EVENTS == ["waited"]

    async def test_a_connection_under_a_path_of_its_own(self) -> None:
        socket = await joined("/own/", own)
        query = "subscription { count(upTo: 1) }"
        assert [one.data["count"] async for one in socket.subscribe(query=query)] == [0]
        await socket.disconnect()


class TestCloseCodes:
    async def closed(self, socket: Any, code: int) -> None:
        message = await socket.receive_output(SOON)
        assert (message["type"], message["code"]) == ("websocket.close", code)
        await socket.disconnect()

    async def connected(self) -> WebsocketCommunicator:
        subprotocols = [GRAPHQL_TRANSPORT_WS_PROTOCOL]
        socket = WebsocketCommunicator(application, "/graphql", subprotocols=subprotocols)
        assert await socket.connect() == (True, GRAPHQL_TRANSPORT_WS_PROTOCOL)
        return socket

    async def test_a_subprotocol_that_nobody_speaks(self) -> None:
        socket = WebsocketCommunicator(application, "/graphql", subprotocols=["imap"])
        await socket.connect()
        await self.closed(socket, 4406)

    async def test_a_subscription_before_the_start(self) -> None:
        socket = await self.connected()
        await begin(socket, "{ hello }")
        await self.closed(socket, 4401)

    async def test_two_starts(self, socket: Any) -> None:
        await socket.send_json_to({"type": "connection_init"})
        await self.closed(socket, 4429)

    async def test_the_same_name_twice(self, socket: Any) -> None:
        await begin(socket, "subscription { wait }")
        await socket.receive_json_from(SOON)
        await begin(socket, "subscription { wait }")
        await self.closed(socket, 4409)

    async def test_an_unknown_message(self, socket: Any) -> None:
        await socket.send_json_to({"type": "unknown"})
        await self.closed(socket, 4400)

    async def test_text_that_is_not_json(self, socket: Any) -> None:
        await socket.send_to(text_data="{no json")
        await self.closed(socket, 4400)

    async def test_bytes(self, socket: Any) -> None:
        await socket.send_to(bytes_data=b"{}")
        await self.closed(socket, 4400)


class TestChannelLayer:
    async def sold(self, socket: Any, name: str = "1") -> Any:
        message = await socket.receive_json_from(SOON)
        assert (message["type"], message["id"]) == ("next", name), message
        return message["payload"]["data"]["sales"]["name"]

    async def test_a_mutation_reaches_the_subscribers(self, socket: Any) -> None:
        other = await joined()
        for one in (socket, other):
            await begin(one, "subscription { sales { name } }")
            assert await self.sold(one) == "open"
        await ask('mutation { sell(name: "rasp", price: 3) { price } }')
        for one in (socket, other):
            assert await self.sold(one) == "rasp"
        await other.disconnect()

    async def test_the_subscriptions_of_one_connection_each_get_it(self, socket: Any) -> None:
        for name in ("a", "b"):
            await begin(socket, "subscription { sales { name } }", name)
            assert await self.sold(socket, name) == "open"
        await socket.send_json_to({"id": "a", "type": "complete"})
        await socket.send_json_to({"type": "ping"})
        assert await socket.receive_json_from(SOON) == {"type": "pong"}
        await ask('mutation { sell(name: "rasp", price: 3) { price } }')
        assert await self.sold(socket, "b") == "rasp"

    async def test_messages_keep_their_order(self, socket: Any) -> None:
        await begin(socket, "subscription { sales { name } }")
        await self.sold(socket)
        for number in range(20):
            message = {"type": "berry.sold", "name": f"n{number}", "price": 1}
            await get_channel_layer().group_send("market", message)
        assert [await self.sold(socket) for _ in range(20)] == [f"n{one}" for one in range(20)]

    async def test_a_subscription_ends_when_nothing_comes(self, socket: Any) -> None:
        await begin(socket, "subscription { sales(timeout: 0.1) { name } }")
        await self.sold(socket)
        assert await socket.receive_json_from(SOON) == {"type": "complete", "id": "1"}

    async def test_the_group_is_left_with_the_subscription(self, socket: Any) -> None:
        await begin(socket, "subscription { sales { name } }")
        await self.sold(socket)
        assert get_channel_layer().groups["market"]
        await socket.send_json_to({"id": "1", "type": "complete"})
        await socket.send_json_to({"type": "ping"})
        assert await socket.receive_json_from(SOON) == {"type": "pong"}
        assert not get_channel_layer().groups.get("market")

    async def test_without_a_layer_it_says_so(self, settings: Any) -> None:
        settings.CHANNEL_LAYERS = {}
        socket = await joined()
        (answer,) = [one async for one in socket.subscribe(query="subscription { sales { name } }")]
        assert "Layers integration is required" in answer.errors[0].message
        await socket.disconnect()


class TestRouter:
    async def test_its_mapping(self) -> None:
        assert set(application.application_mapping) == {"http", "websocket"}

    async def test_without_django_other_paths_have_no_answer(self) -> None:
        router = GraphQLProtocolTypeRouter(schema, url_pattern="^api")
        _, answer, _ = await ask("{ hello }", to=router, path="/api")
        assert answer["data"] == {"hello": "hello you"}

    @pytest.mark.parametrize(
        ("origin", "let_in"), [("http://b.test", True), ("http://c.test", False)]
    )
    async def test_origins(self, origin: str, let_in: bool) -> None:
        router = GraphQLProtocolTypeRouter(schema, allowed_origins=["http://b.test"])
        socket = WebsocketCommunicator(
            router,
            "/graphql",
            headers=[(b"origin", origin.encode()), (b"host", b"a.test")],
            subprotocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
        )
        connected, _ = await socket.connect()
        assert connected is let_in
        await socket.disconnect()
