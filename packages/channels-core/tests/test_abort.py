from functools import partial

from channels_core._abort import abort_response
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
    for send in (request.send, request.server.handle_reply, partial(print)):
        abort_response(send)
    assert (request.closed, request.server.disconnected) == (0, [])
