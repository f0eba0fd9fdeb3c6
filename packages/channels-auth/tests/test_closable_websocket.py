from typing import Any

import pytest

from channels_auth._closable_websocket import ClosableWebsocket, WebsocketState
from channels_core.typing import Message
from servers import DENIAL, websocket

ACCEPT = {"type": "websocket.accept"}
FRAME = {"type": "websocket.send", "text": "a"}


class Sent(list[Message]):
    async def send(self, message: Message) -> None:
        self.append(message)


async def test_it_passes_on_what_the_application_sends() -> None:
    sent = Sent()
    gate = ClosableWebsocket(websocket(), sent.send)
    states = [gate.state]
    for message in (ACCEPT, FRAME, {"type": "websocket.close"}):
        await gate.send(message)
        states.append(gate.state)
    assert states == [
        WebsocketState.CONNECTING,
        WebsocketState.OPEN,
        WebsocketState.OPEN,
        WebsocketState.CLOSED,
    ]
    await gate.close(4401)
    assert sent == [ACCEPT, FRAME, {"type": "websocket.close"}]
    assert not gate.closed_from_outside


async def test_it_closes_an_open_connection_once_and_drops_the_rest() -> None:
    sent = Sent()
    gate = ClosableWebsocket(websocket(), sent.send)
    await gate.send(ACCEPT)
    await gate.close(4401, "over")
    await gate.close(4402)
    await gate.send(FRAME)
    await gate.send({"type": "websocket.close", "code": 1000})
    assert sent == [ACCEPT, {"type": "websocket.close", "code": 4401, "reason": "over"}]
    assert gate.closed_from_outside


async def test_it_refuses_a_handshake() -> None:
    sent = Sent()
    await ClosableWebsocket(websocket(), sent.send).close(4401, "over")
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": "over"}]

    sent = Sent()
    gate = ClosableWebsocket(websocket(extensions=DENIAL), sent.send)
    await gate.close(4401, "over")
    await gate.send(ACCEPT)
    assert [message.get("status") for message in sent] == [401, None]
    assert (b"www-authenticate", b"Cookie") in sent[0]["headers"]
    assert sent[1]["body"] == b"over"

    sent = Sent()
    await ClosableWebsocket(websocket(extensions=DENIAL), sent.send).close(4403, "no", status=403)
    assert b"www-authenticate" not in dict(sent[0]["headers"])


@pytest.mark.parametrize(
    "message",
    [{"type": "websocket.close"}, {"type": "websocket.http.response.start", "status": 404}],
)
async def test_a_handshake_that_the_application_refused_is_not_refused_again(message: Any) -> None:
    sent = Sent()
    gate = ClosableWebsocket(websocket(), sent.send)
    await gate.send(message)
    await gate.close(4401)
    assert sent == [message]


async def test_a_client_that_has_left_needs_no_close() -> None:
    async def send(message: Message) -> None:
        raise ConnectionResetError

    gate = ClosableWebsocket(websocket(), send)
    await gate.close(4401)
    assert gate.state is WebsocketState.CLOSED


async def test_an_error_of_send_reaches_the_application() -> None:
    async def send(message: Message) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await ClosableWebsocket(websocket(), send).send(ACCEPT)
