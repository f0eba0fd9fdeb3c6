from typing import Any

import pytest

from channels_core.refusal import failures_are_answered, refusal, refuse
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Receive, Scope, Send

DENIAL: Scope = {"type": "websocket", "extensions": {"websocket.http.response": {}}}


def test_a_request_gets_a_whole_response() -> None:
    start, body = refusal({"type": "http", "method": "GET"}, 401, body="Log in.")
    assert start == {
        "type": "http.response.start",
        "status": 401,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"7"),
        ],
    }
    assert body == {"type": "http.response.body", "body": b"Log in."}


def test_a_head_request_gets_the_length_only() -> None:
    start, body = refusal({"type": "http", "method": "HEAD"}, 404, body=b"gone")
    assert (b"content-length", b"4") in start["headers"]
    assert body["body"] == b""


def test_headers_are_encoded_and_not_repeated() -> None:
    headers = {"Location": "/in/", "Content-Type": "text/html"}
    start, _ = refusal({"type": "http"}, 302, headers=headers)
    assert start["headers"] == [
        (b"location", b"/in/"),
        (b"content-type", b"text/html"),
        (b"content-length", b"0"),
    ]


@pytest.mark.parametrize("scope", [{"type": "http"}, DENIAL])
def test_a_header_that_would_start_another_one_is_refused(scope: Scope) -> None:
    with pytest.raises(ValueError, match="must not contain CR"):
        refusal(scope, 302, headers=[("location", "/\r\nset-cookie: a=b")])


def test_a_handshake_is_refused_as_the_server_can() -> None:
    start, body = refusal(DENIAL, 401, headers=[("a", "b")], body="Log in.", code=4401)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"a", b"b") in start["headers"]
    assert body == {"type": "websocket.http.response.body", "body": b"Log in."}
    assert refusal({"type": "websocket"}, 401, code=4401, reason="Log in.") == [
        {"type": "websocket.close", "code": 4401, "reason": "Log in."}
    ]


class Connection:
    """A server's side of a connection that was just opened."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.received = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        self.received += 1
        return {"type": "websocket.connect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_a_refusal_takes_the_handshake_that_it_answers() -> None:
    connection = Connection({"type": "websocket"})
    await refuse(connection.scope, connection.receive, connection.send, 403, code=4403)
    assert connection.received == 1
    assert connection.sent == [{"type": "websocket.close", "code": 4403}]


async def test_a_request_is_refused_unread() -> None:
    connection = Connection({"type": "http"})
    await refuse(connection.scope, connection.receive, connection.send, 403)
    assert connection.received == 0
    assert [message["type"] for message in connection.sent] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_a_client_that_has_left_needs_no_answer() -> None:
    async def send(message: Message) -> Any:
        raise ConnectionResetError

    connection = Connection(DENIAL)
    await refuse(connection.scope, connection.receive, send, 403)


async def test_the_outermost_router_answers_failures_of_what_it_serves() -> None:
    async def asks(scope: Scope, receive: Receive, send: Send) -> bool:
        return failures_are_answered()

    router: Any = ProtocolTypeRouter({"http": asks})
    assert await router({"type": "http"}, None, None) is True
    assert failures_are_answered() is False
