import asyncio
import json
from datetime import date
from typing import Any

import pytest

from channels_core.typing import Receive, Scope, Send
from channels_testing.http import HttpCommunicator, Response

# A safety net, for a machine under load.
SECONDS = 60


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the request, as JSON."""
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"].decode())
        if not message.get("more_body", False):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    asked = {"method": scope["method"], "path": scope["path"], "headers": headers, "parts": parts}
    asked["query"] = scope["query_string"].decode()
    head = [(b"Content-Type", b"application/json"), (b"x-twice", b"1"), (b"x-twice", b"2")]
    await send({"type": "http.response.start", "status": 203, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(asked).encode()})


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a part for each line of the request, and end with the client."""
    await send({"type": "http.response.start", "status": 200})
    while (message := await receive())["type"] != "http.disconnect":
        more = message["body"] != b"last"
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise ValueError("no such page")


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})
    await asyncio.Event().wait()


async def asked(*args: Any, **kwargs: Any) -> Any:
    return (await HttpCommunicator(mirror, *args, **kwargs).get_response(SECONDS)).json()


class TestRequest:
    async def test_a_plain_one(self) -> None:
        answer = await asked("get", "/a%20b/?c=d", query={"e": "f"})
        assert answer == {
            "method": "GET",
            "path": "/a b/",
            "headers": {},
            "parts": [""],
            "query": "c=d&e=f",
        }

    async def test_a_body(self) -> None:
        communicator = HttpCommunicator(mirror, "POST", "/", b"hello", [(b"x", b"y")])
        assert communicator.body == b"hello"
        answer = (await communicator.get_response(SECONDS)).json()
        assert answer["parts"] == ["hello"]
        assert answer["headers"] == {"x": "y"}

    async def test_a_body_in_parts(self) -> None:
        communicator = HttpCommunicator(mirror, "POST", "/", [b"one", b"two"])
        assert communicator.body == b"onetwo"
        answer = (await communicator.get_response(SECONDS)).json()
        assert answer["parts"] == ["one", "two"]
        assert answer["headers"] == {}
        assert (await asked("POST", "/", iter([])))["parts"] == [""]

    async def test_json(self) -> None:
        answer = await asked("POST", "/", json={"a": [1]})
        assert json.loads(answer["parts"][0]) == {"a": [1]}
        expected = {"content-type": "application/json", "content-length": "10"}
        assert answer["headers"] == expected

    async def test_json_of_types_that_django_knows(self) -> None:
        class Shout(json.JSONEncoder):
            def default(self, o: object) -> str:
                return str(o).upper()

        answer = await asked("POST", "/", json=[date(2026, 1, 2)])
        assert answer["parts"] == ['["2026-01-02"]']
        answer = await asked("POST", "/", json=[int], json_encoder=Shout)
        assert json.loads(answer["parts"][0]) == ["<CLASS 'INT'>"]

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    async def test_bytes_of_other_kinds(self, kind: Any) -> None:
        answer = await asked("POST", "/", kind(b"hello"))
        assert (answer["parts"], answer["headers"]) == (["hello"], {})
        assert (await asked("POST", "/", [kind(b"a"), b"b"]))["parts"] == ["a", "b"]
        client = HttpCommunicator(mirror, "POST", "/")
        await client.send_body(kind(b"a"))
        assert (await client.get_response(SECONDS)).json()["parts"] == ["a"]

    async def test_a_form(self) -> None:
        answer = await asked("POST", "/", form={"a": "b c", "d": [1, 2]})
        assert answer["parts"] == ["a=b+c&d=1&d=2"]
        assert answer["headers"]["content-type"] == "application/x-www-form-urlencoded"

    async def test_more_body_is_sent_only_if_parts_follow(self) -> None:
        communicator = HttpCommunicator(mirror, "POST", "/", [b"one", b"two"])
        await communicator.send_request()
        assert communicator.sent_request
        messages = [communicator.input_queue.get_nowait() for _ in range(2)]
        assert messages == [
            {"type": "http.request", "body": b"one", "more_body": True},
            {"type": "http.request", "body": b"two"},
        ]
        communicator.stop()

    async def test_headers_of_the_test_win(self) -> None:
        given = {"Content-Type": "application/ld+json", "Content-Length": "99"}
        answer = await asked("POST", "/", json=[], headers=given)
        assert answer["headers"] == {k.lower(): v for k, v in given.items()}

    async def test_the_scope_of_the_test_wins(self) -> None:
        scope = {"path": "/other/", "state": {}}
        communicator = HttpCommunicator(mirror, "GET", "/", scope=scope, cookies={"a": "b"})
        assert communicator.scope["state"] == {}
        answer = (await communicator.get_response(SECONDS)).json()
        assert answer["path"] == "/other/"
        assert answer["headers"] == {"cookie": "a=b"}

    def test_one_body_only(self) -> None:
        with pytest.raises(TypeError, match="give body, json or form"):
            HttpCommunicator(mirror, "POST", "/", b"a", json={})
        with pytest.raises(TypeError, match="give body, json or form"):
            HttpCommunicator(mirror, "POST", "/", json={}, form={})

    def test_a_body_of_text(self) -> None:
        body: Any = "hello"
        with pytest.raises(TypeError, match="Expected the body as bytes, got a str"):
            HttpCommunicator(mirror, "POST", "/", body)

    @pytest.mark.parametrize("body", [5, None, {"a": b"b"}, [5], [None], [b"a", {}]])
    def test_a_body_of_something_else(self, body: Any) -> None:
        with pytest.raises(TypeError, match=r"or an iterable of bytes, got .* json= or form="):
            HttpCommunicator(mirror, "POST", "/", body)

    async def test_parts_of_text(self) -> None:
        parts: Any = [b"a", "b"]
        with pytest.raises(TypeError, match="Expected the body as bytes, got a str"):
            HttpCommunicator(mirror, "POST", "/", parts)
        client = HttpCommunicator(mirror, "POST", "/")
        with pytest.raises(TypeError, match="Expected the body as bytes, got a str"):
            await client.send_body(parts[1])

    async def test_part_by_part_by_hand(self) -> None:
        communicator = HttpCommunicator(mirror, "POST", "/")
        await communicator.send_body(b"one", more_body=True)
        await communicator.send_body(b"two")
        assert (await communicator.get_response(SECONDS)).json()["parts"] == ["one", "two"]


class TestResponse:
    async def test_it_is_a_dict(self) -> None:
        response = await HttpCommunicator(mirror, "GET", "/").get_response(SECONDS)
        assert sorted(response) == ["body", "headers", "status"]
        assert response["status"] == response.status == 203
        assert response["headers"][0] == (b"Content-Type", b"application/json")
        assert response["body"] == response.body

    async def test_properties(self) -> None:
        response = await HttpCommunicator(mirror, "GET", "/").get_response(SECONDS)
        assert response.headers["content-type"] == "application/json"
        assert response.headers["X-Twice"] == "2"
        assert json.loads(response.text) == response.json()

    def test_of_nothing(self) -> None:
        response = Response(status=204, headers=[], body=b"")
        assert (response.status, dict(response.headers), response.text) == (204, {}, "")

    async def test_asked_for_twice(self) -> None:
        communicator = HttpCommunicator(mirror, "GET", "/")
        first = await communicator.get_response(SECONDS)
        assert await communicator.get_response(SECONDS) is first is communicator.response

    async def test_it_is_there_before_the_application_ends(self) -> None:
        communicator = HttpCommunicator(stream, "POST", "/", [b"one", b"last"])
        assert (await communicator.get_response(SECONDS)).body == b"onelast"
        assert not communicator.future.done()
        await communicator.disconnect(SECONDS, must_end=True)

    async def test_of_an_application_that_does_not_end(self) -> None:
        communicator = HttpCommunicator(endless, "GET", "/")
        await communicator.start_response(SECONDS)
        assert (await communicator.get_response(0.1)).status == 200
        assert not communicator.future.done()
        communicator.stop()

    async def test_of_an_application_that_fails(self) -> None:
        with pytest.raises(ValueError, match="no such page"):
            await HttpCommunicator(failing, "GET", "/").get_response(SECONDS)

    async def test_an_application_that_fails_after_its_response(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await mirror(scope, receive, send)
            await asyncio.sleep(0)
            raise ValueError("in the clean-up")

        communicator = HttpCommunicator(application, "GET", "/")
        assert (await communicator.get_response(SECONDS)).status == 203
        with pytest.raises(ValueError, match="in the clean-up"):
            await communicator.wait(SECONDS)


class TestStream:
    async def test_part_by_part(self) -> None:
        async with HttpCommunicator(stream, "POST", "/", b"one") as client:
            assert client.response is not None
            assert client.response.status == 200
            assert await client.receive_body(SECONDS) == b"one"
            await client.send_body(b"two", more_body=True)
            assert await client.receive_body(SECONDS) == b"two"
            assert client.response.body == b"onetwo"
            with pytest.raises(TimeoutError, match="alive and waits for a message"):
                await client.receive_body(0.01, keep_running=True)
        assert client.future.done()

    async def test_all_parts(self) -> None:
        parts = [b"one", b"", b"two", b"last"]
        async with HttpCommunicator(stream, "POST", "/", parts) as client:
            assert [part async for part in client.iter_body(SECONDS)] == [b"one", b"two", b"last"]
            assert [part async for part in client.iter_body()] == []
            with pytest.raises(AssertionError, match=r"^The response has ended: status 200$"):
                await client.receive_body()

    async def test_the_client_leaves(self) -> None:
        client = HttpCommunicator(stream, "POST", "/", b"one")
        assert (await client.start_response(SECONDS)).body == b""
        await client.disconnect(SECONDS)
        await client.disconnect()

    async def test_an_application_that_does_not_let_it(self) -> None:
        client = HttpCommunicator(endless, "GET", "/")
        await client.start_response(SECONDS)
        with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s.* waits in endless \("):
            await client.disconnect(0.1, must_end=True)
        client = HttpCommunicator(endless, "GET", "/")
        await client.start_response(SECONDS)
        await client.disconnect(0.01)
        assert client.future.cancelled()

    async def test_subclasses_whose_overrides_take_a_timeout_only(self) -> None:
        class Patient(HttpCommunicator):
            async def receive_output(self, timeout: float = 1) -> Any:  # type: ignore[override] # the case
                return await super().receive_output(SECONDS)

        async with Patient(stream, "POST", "/", b"last") as client:
            assert await client.receive_body() == b"last"


class TestContext:
    async def test_the_application_ends_with_the_context(self) -> None:
        with pytest.raises(AssertionError, match="of the test"):
            async with HttpCommunicator(stream, "GET", "/") as client:
                raise AssertionError("of the test")
        assert client.future.cancelled()

    async def test_an_application_that_fails_at_once(self) -> None:
        client = HttpCommunicator(failing, "GET", "/")
        with pytest.raises(ValueError, match="no such page"):
            async with client:
                pytest.fail("it has begun")
        assert client.future.done()


class TestWrongMessages:
    async def test_before_the_headers(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.body"})

        with pytest.raises(AssertionError, match="Expected the start of a response, got "):
            await HttpCommunicator(application, "GET", "/").get_response(SECONDS)

    async def test_after_the_headers(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.start", "status": 200})

        with pytest.raises(AssertionError, match="Expected a part of the body, got "):
            await HttpCommunicator(application, "GET", "/").get_response(SECONDS)

    async def test_a_body_of_text(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": "text"})

        with pytest.raises(AssertionError, match="Expected a body of bytes, got "):
            await HttpCommunicator(application, "GET", "/").get_response(SECONDS)
