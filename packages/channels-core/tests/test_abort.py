import copy
from functools import partial
from typing import Any

import pytest

from channels_core._scope import SERVER
from channels_core.abort import abort_response, close_with, find_outgoing, with_server
from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import StopConsumer
from channels_core.routing import ProtocolTypeRouter
from channels_core.typing import Message, Receive, Scope, Send


class DaphnesServer:
    def __init__(self) -> None:
        self.disconnected: list[object] = []

    async def handle_reply(self, request: object, message: Message) -> None:
        """Stand for the method by which Daphne takes messages of the application."""

    def protocol_disconnected(self, request: object) -> None:
        self.disconnected.append(request)


class Request:
    """The object that a server binds to its `send`."""

    def __init__(self, *, finished: int = 0) -> None:
        self.server = DaphnesServer()
        self.finished = finished
        self.closed = 0
        self.send = partial(self.server.handle_reply, self)

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name for it
        self.closed += 1


class DaphnesRequest(Request):
    __module__ = "daphne.http_protocol"


class DaphnesSocket(DaphnesRequest):
    __module__ = "daphne.ws_protocol"
    STATE_OPEN = 3

    def __init__(self, state: int) -> None:
        super().__init__()
        self.state = state
        self.frames: list[tuple[int, bytes]] = []

    def sendCloseFrame(self, *, code: int, reasonUtf8: bytes, isReply: bool) -> None:  # noqa: N802, N803 - Autobahn has these names
        assert not isReply
        self.frames.append((code, reasonUtf8))


async def receive() -> Message:
    raise NotImplementedError


class TestWithServer:
    def test_other_servers_leave_the_scope_as_it_is(self) -> None:
        scope: Scope = {"type": "http"}
        request = Request()
        for send in (request.send, request.server.handle_reply, partial(print), object()):
            assert with_server(scope, send) is scope

    def test_the_first_application_keeps_the_server_in_its_own_scope(self) -> None:
        scope: Scope = {"type": "http"}
        request = DaphnesRequest()
        assert with_server(scope, request.send) is scope
        with_server(scope, DaphnesRequest().send)
        held: Any = scope[SERVER]
        assert held.protocol is request
        assert copy.deepcopy(scope)[SERVER] is held

    @pytest.mark.parametrize("kind", ["http", "websocket"])
    async def test_a_router_hands_it_on(self, kind: str) -> None:
        request = DaphnesRequest()
        scopes = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            scopes.append(scope)

        given: Scope = {"type": kind, "path": "/"}
        await ProtocolTypeRouter({kind: application})(given, receive, request.send)
        assert scopes[0] is given
        assert given[SERVER].protocol is request

    async def test_a_consumer_without_a_router_has_it(self) -> None:
        request = DaphnesSocket(state=3)
        closed = []

        class Closing(AsyncConsumer):
            async def websocket_connect(self, message: Message) -> None:
                closed.append(close_with(self.scope, 1012, "restart"))
                raise StopConsumer

        async def connect() -> Message:
            return {"type": "websocket.connect"}

        await Closing.as_asgi()({"type": "websocket", "path": "/"}, connect, request.send)
        assert closed == [True]


class TestAbortResponse:
    def test_daphnes_connection_is_closed_and_its_server_told(self) -> None:
        request = DaphnesRequest()
        abort_response(with_server({"type": "http"}, request.send))
        assert request.closed == 1
        assert request.server.disconnected == [request]

    def test_a_response_that_has_ended_is_left_alone(self) -> None:
        request = DaphnesRequest(finished=1)
        abort_response(with_server({"type": "http"}, request.send))
        assert (request.closed, request.server.disconnected) == (0, [])

    def test_other_servers_do_it_themselves(self) -> None:
        request = Request()
        abort_response(with_server({"type": "http"}, request.send))
        assert (request.closed, request.server.disconnected) == (0, [])


class TestCloseWith:
    def test_daphne_sends_any_code(self) -> None:
        socket = DaphnesSocket(state=3)
        assert close_with(with_server({}, socket.send), 1012, "restart")
        assert socket.frames == [(1012, b"restart")]

    def test_other_servers_close_themselves(self) -> None:
        assert not close_with(with_server({}, Request().send), 1012, "restart")

    def test_a_handshake_that_is_not_answered_is_not_closed(self) -> None:
        socket = DaphnesSocket(state=1)
        assert not close_with(with_server({}, socket.send), 1012, "restart")
        assert socket.frames == []
        assert not close_with(with_server({}, DaphnesRequest().send), 1012, "restart")


class TcpTransport:
    """Twisted's, as far as it says what waits."""

    def __init__(self) -> None:
        self.dataBuffer = b"12345"
        self.offset = 2
        self._tempDataLen = 4
        self.aborted = 0

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name for it
        self.aborted += 1


class TlsTransport:
    def __init__(self, transport: TcpTransport) -> None:
        self.transport = transport


class UvicornTransport:
    def __init__(self) -> None:
        self.high = 0
        self.aborted = 0

    def set_write_buffer_limits(self, *, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return 7

    def abort(self) -> None:
        self.aborted += 1


class UvicornProtocol:
    __module__ = "uvicorn.protocols.websockets.any"

    def __init__(self) -> None:
        self.transport = UvicornTransport()

    async def send(self, message: Message) -> None:
        """Stand for the method that sends."""


class TestOutgoing:
    def test_nothing_is_known_of_other_servers(self) -> None:
        assert find_outgoing({"type": "websocket"}) is None

    def test_of_daphne(self) -> None:
        protocol = DaphnesSocket(3)
        tcp = TcpTransport()
        protocol.transport = TlsTransport(tcp)  # type: ignore[attr-defined] # Twisted sets it
        outgoing = find_outgoing(with_server({"type": "websocket"}, protocol.send))
        assert outgoing is not None
        outgoing.allow(100)
        assert outgoing.waiting() == 7
        protocol.transport = tcp  # type: ignore[attr-defined] # Twisted sets it
        outgoing = find_outgoing(with_server({"type": "websocket"}, protocol.send))
        assert outgoing is not None
        outgoing.abort()
        assert tcp.aborted == 1

    def test_of_uvicorn(self) -> None:
        protocol = UvicornProtocol()
        scope = with_server({"type": "websocket"}, protocol.send)
        assert with_server(scope, protocol.send) is scope
        outgoing = find_outgoing(scope)
        assert outgoing is not None
        outgoing.allow(65_536)
        assert protocol.transport.high == 0
        outgoing.allow(100_000)
        assert protocol.transport.high == 100_000
        assert outgoing.waiting() == 7
        outgoing.abort()
        assert protocol.transport.aborted == 1
        assert copy.deepcopy(scope)[SERVER] is outgoing
