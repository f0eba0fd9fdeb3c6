from functools import partial
from typing import Any

from channels_core.abort import abort_response, close_with
from channels_core.typing import Message


class DaphnesServer:
    def __init__(self) -> None:
        self.disconnected: list[object] = []

    async def handle_reply(self, request: object, message: Message) -> None:
        """Stand where Daphne takes what the application sends."""

    def protocol_disconnected(self, request: object) -> None:
        self.disconnected.append(request)


class Request:
    """What Daphne hands to its `send`, as far as it matters here."""

    def __init__(self, *, finished: int = 0) -> None:
        self.server = DaphnesServer()
        self.finished = finished
        self.closed = 0
        self.send = partial(self.server.handle_reply, self)

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name for it
        self.closed += 1


class DaphnesRequest(Request):
    __module__ = "daphne.http_protocol"


def test_daphnes_connection_is_closed_and_its_server_told() -> None:
    request = DaphnesRequest()
    abort_response(request.send)
    assert request.closed == 1
    assert request.server.disconnected == [request]


def test_a_response_that_has_ended_is_left_alone() -> None:
    request = DaphnesRequest(finished=1)
    abort_response(request.send)
    assert (request.closed, request.server.disconnected) == (0, [])


def test_other_servers_do_it_themselves() -> None:
    request = Request()
    for send in (request.send, request.server.handle_reply, partial(print), object()):
        abort_response(send)
    assert (request.closed, request.server.disconnected) == (0, [])


class Middleware:
    """Stands between the server and the application, and sends by a method or a function."""

    def __init__(self, send: Any) -> None:
        self.inner = send
        self.sent = 0

    async def send(self, message: Message) -> None:
        """Stand where a program looks at what is sent."""

    def function(self) -> Any:
        inner = self.inner
        later: Any

        async def send(message: Message) -> None:
            await later(inner(message))

        if self.sent:
            later = None
        return send


def test_the_server_is_found_behind_others() -> None:
    request = DaphnesRequest()
    outer = Middleware(Middleware(partial(request.send)).function())
    abort_response(partial(outer.send))
    assert request.closed == 1


def test_it_is_not_looked_for_without_end() -> None:
    circle = Middleware(None)
    circle.inner = circle.send
    abort_response(circle.send)


class TestCloseWith:
    def test_other_servers_close_themselves(self) -> None:
        async def send(message: Message) -> None:
            """Stand for another server's."""

        assert not close_with(send, 1012, "restart")

    def test_a_handshake_that_is_not_answered_is_not_closed(self) -> None:
        class Protocol(DaphnesRequest):
            __module__ = "daphne.ws_protocol"
            STATE_OPEN = 3
            state = 1

        assert not close_with(Protocol().send, 1012, "restart")
        assert not close_with(DaphnesRequest().send, 1012, "restart")
