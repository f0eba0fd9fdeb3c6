from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.exceptions import SessionInterrupted

from channels_core.exceptions import InvalidFrame, RouteNotFound
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Receive, Scope, Send
from fakes import Server

NO_RESPONSE: Scope = {}
RESPONSE: Scope = {"extensions": {"websocket.http.response": {}}}
CONNECT = {"type": "websocket.connect"}


def answering(application: Any) -> Any:
    return ProtocolTypeRouter({"http": application, "websocket": application})


async def unmatched(scope: Scope, receive: Receive, send: Send) -> None:
    raise RouteNotFound("No route found for path 'x'.")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.name == "django.channels.routing" for record in caplog.records)
    assert all(record.levelname == "WARNING" for record in caplog.records)
    assert not any(record.exc_info for record in caplog.records)
    return caplog.messages


class TestWhatWorks:
    async def test_it_goes_through_as_it_is(self, caplog: pytest.LogCaptureFixture) -> None:
        async def echo(scope: Scope, receive: Receive, send: Send) -> str:
            await send(await receive())
            return "done"

        sent: list[Message] = []

        async def receive() -> Message:
            return CONNECT

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "websocket"}
        result = await answering(echo)(scope, receive, send)
        assert result == "done"
        assert sent[0] is CONNECT
        assert not caplog.records

    async def test_threads_may_send_through_it(self) -> None:
        """`async_to_sync` warns of a function that is not marked as a coroutine function."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            async_to_sync(send)
            async_to_sync(receive)

        await Server(answering(application)).end()

    async def test_an_error_of_the_program_is_raised_on(self) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await Server(answering(broken)).end()


class DaphnesRequest:
    """The object that Daphne binds to its `send`."""

    __module__ = "daphne.http_protocol"

    def __init__(self) -> None:
        self.finished = False
        self.is_aborted = False
        self.server = SimpleNamespace(protocol_disconnected=lambda request: None)
        self.send = partial(self.handle_reply, self)

    async def handle_reply(self, request: object, message: Message) -> None: ...

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name for it
        self.is_aborted = True


class TestFailure:
    """A response that fails halfway is cut short, if the server does not do it."""

    @staticmethod
    async def is_aborted(kind: str, *sent: Message) -> bool:
        async def failing(scope: Scope, receive: Receive, send: Send) -> None:
            for message in sent:
                await send(message)
            raise ValueError("mine")

        async def receive() -> Message:
            raise NotImplementedError

        request = DaphnesRequest()
        with pytest.raises(ValueError, match="mine"):
            await ProtocolTypeRouter({kind: failing})({"type": kind}, receive, request.send)
        return request.is_aborted

    async def test_a_response_that_has_begun_is_aborted(self) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": []}
        assert await self.is_aborted("http", start)

    async def test_before_it_the_server_can_still_answer(self) -> None:
        assert not await self.is_aborted("http")

    async def test_a_websocket_is_the_servers_to_close(self) -> None:
        assert not await self.is_aborted("websocket", {"type": "websocket.accept"})


async def interrupted(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    raise SessionInterrupted("The session was deleted.")


class TestDeletedSession:
    async def test_http_gets_400(self, caplog: pytest.LogCaptureFixture) -> None:
        server = Server(answering(interrupted), {"type": "http", "path": "/x", "method": "GET"})
        await server.end()
        start, body = server.received
        assert start["status"] == 400
        assert body["body"] == b"The session was deleted."
        assert lines(caplog) == ["http '/x': The session was deleted."]

    @pytest.mark.parametrize(("kind", "path"), [("http", "/late"), ("websocket", "/x")])
    async def test_what_cannot_be_answered_is_raised_on(self, kind: str, path: str) -> None:
        with pytest.raises(SessionInterrupted):
            await Server(answering(interrupted), {"type": kind, "path": path}).end()


class TestTwoSteps:
    async def test_without_a_route_the_client_is_answered_in_the_second_step(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def unrouted(scope: Scope) -> Any:
            raise RouteNotFound("No route found for path 'x'.")

        scope = {"type": "http", "path": "/x", "method": "GET"}
        instance = answering(unrouted)(scope)
        server = Server(lambda _, *channel: instance(*channel), scope)
        await server.end()
        assert server.received[0]["status"] == 404
        assert lines(caplog) == ["http '/x': No route found for path 'x'."]

    async def test_what_the_second_step_raises_is_answered(self) -> None:
        scope = {"type": "http", "path": "/x", "method": "GET"}
        instance = answering(interrupted)(scope)
        server = Server(lambda _, *channel: instance(*channel), scope)
        await server.end()
        assert server.received[0]["status"] == 400

    async def test_what_cannot_be_called_is_returned_as_it_is(self) -> None:
        assert answering(lambda scope: 1)({"type": "http"}) == 1

    def test_without_an_event_loop_there_is_nobody_to_answer(self) -> None:
        def unrouted(scope: Scope) -> Any:
            raise RouteNotFound("No route found for path 'x'.")

        with pytest.raises(RouteNotFound):
            answering(unrouted)({"type": "http"})


class TestNoRoute:
    @pytest.mark.parametrize(("method", "body"), [("GET", b"Not Found"), ("HEAD", b"")])
    async def test_http_gets_404(
        self, method: str, body: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(answering(unmatched), {"type": "http", "path": "/x", "method": method})
        await server.end()
        assert server.received == [
            {
                "type": "http.response.start",
                "status": 404,
                "headers": [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"9"),
                ],
            },
            {"type": "http.response.body", "body": body},
        ]
        assert lines(caplog) == ["http '/x': No route found for path 'x'."]

    async def test_a_websocket_is_refused_with_404_where_the_server_can(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(answering(unmatched), RESPONSE)
        await server.connect()
        await server.end()
        assert [message["type"] for message in server.received] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert server.received[0]["status"] == 404
        assert len(lines(caplog)) == 1

    async def test_a_websocket_is_closed_where_it_cannot(self) -> None:
        server = Server(answering(unmatched), NO_RESPONSE)
        await server.connect()
        await server.end()
        assert server.received == [{"type": "websocket.close"}]

    async def test_the_handshake_is_read_before_it_is_answered(self) -> None:
        server = Server(answering(unmatched))
        server.put(CONNECT, {"type": "websocket.disconnect"})
        await server.end()
        assert server.inbox.qsize() == 1

    async def test_a_handshake_that_was_read_inside_is_not_waited_for_again(self) -> None:
        async def reading(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await unmatched(scope, receive, send)

        server = Server(answering(reading))
        server.put(CONNECT)
        await server.end()
        assert server.received == [{"type": "websocket.close"}]

    async def test_it_is_an_error_once_an_answer_was_begun(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.accept"})
            await unmatched(scope, receive, send)

        server = Server(answering(late))
        with pytest.raises(RouteNotFound):
            await server.end()
        assert server.received == [{"type": "websocket.accept"}]
        assert not lines(caplog)

    async def test_a_client_that_has_left_is_no_error(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(answering(unmatched), {"type": "http"})
        server.fault = OSError("gone")
        await server.end()
        assert len(lines(caplog)) == 1


class TestInvalidFrame:
    @staticmethod
    def raising(*sent: Message) -> Any:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            for message in sent:
                await send(message)
            raise InvalidFrame("A text frame is not JSON", 1007)

        return answering(application)

    @pytest.mark.parametrize(
        "last",
        [
            {"type": "websocket.close", "code": 1007},
            {"type": "websocket.http.response.start", "status": 400, "headers": []},
            {"type": "websocket.http.response.body", "body": b""},
        ],
    )
    async def test_it_ends_quietly(
        self, last: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        server = Server(self.raising(last))
        await server.end()
        assert server.received == [last]
        assert lines(caplog) == ["websocket '/ws/': A text frame is not JSON"]

    @pytest.mark.parametrize("sent", [[], [{"type": "websocket.accept"}]])
    async def test_a_connection_that_was_left_open_is_closed(self, sent: list[Message]) -> None:
        server = Server(self.raising(*sent))
        await server.end()
        assert server.received == [*sent, {"type": "websocket.close", "code": 1007}]

    async def test_a_server_that_keeps_the_low_codes_to_itself_gets_a_private_one(self) -> None:
        class Daphne(Server):
            async def _send(self, message: Message) -> None:
                if message["code"] < 3000:
                    raise Exception("invalid close code")
                await super()._send(message)

        server = Daphne(self.raising())
        await server.end()
        assert server.received == [{"type": "websocket.close", "code": 4007}]

    async def test_a_client_that_has_left_is_no_error(self) -> None:
        server = Server(self.raising())
        server.fault = OSError("gone")
        await server.end()

    async def test_a_request_whose_client_is_too_slow_for_a_layer_is_refused(self) -> None:
        server = Server(self.raising(), {"type": "http"})
        await server.end()
        assert server.received[0]["status"] == 503

    async def test_a_response_whose_client_is_too_slow_for_a_layer_is_cut_short(self) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": []}
        server = Server(self.raising(start), {"type": "http"})
        with pytest.raises(InvalidFrame):
            await server.end()
        assert server.received == [start]


class TestLog:
    async def test_a_path_cannot_write_lines_of_its_own_or_long_ones(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def verbose(scope: Scope, receive: Receive, send: Send) -> None:
            raise RouteNotFound(f"nothing at {scope['path']}")

        path = "/\r\nERROR all is lost\x1b[2J\u2028" + "x" * 10_000
        await Server(answering(verbose), {"type": "http", "path": path}).end()
        (line,) = lines(caplog)
        assert line.isprintable()
        assert len(line) < 1300


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> AsyncIterator[None]:
    import asyncio

    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
