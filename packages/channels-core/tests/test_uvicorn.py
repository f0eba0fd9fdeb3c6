import asyncio
from typing import Any

import pytest
from django.urls import path

from channels_core._uvicorn import in_one_step
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_core.refusal import refuse
from channels_core.routing import ProtocolTypeRouter, URLRouter
from channels_core.typing import ASGIApplication, Message, Receive, Scope, Send

START: Message = {"type": "websocket.http.response.start", "status": 404, "headers": []}
BODY: Message = {"type": "websocket.http.response.body", "body": b"no"}


class Denies(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.deny(401, body="no")


class SyncDenies(WebsocketConsumer):
    def connect(self) -> None:
        self.deny(401, body="no")


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    await refuse(scope, receive, send, 403, body="no")


async def answers_by_itself(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    for message in (START, BODY):
        await send(message)


class Sansio:
    """A handshake in Uvicorn's default implementation."""

    def __init__(self) -> None:
        self.scope: Scope = {
            "type": "websocket",
            "path": "/there/",
            "headers": [],
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.sent: list[Message] = []
        self.steps: list[int] = []
        self.step = 0
        self.is_closed = False

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.steps.append(self.step)
        asyncio.get_running_loop().call_soon(self._next_step)
        if message["type"] == "websocket.http.response.body":
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
            asyncio.get_running_loop().call_soon(self._close)

    def _next_step(self) -> None:
        self.step += 1

    def _close(self) -> None:
        self.is_closed = True

    async def serve(self, application: Any) -> None:
        await application(self.scope, self.inbox.get, self.send)
        assert self.is_closed, "Uvicorn logs that it got no answer"


class TestAnApplicationReturnsAfterTheServerHasClosed:
    @pytest.mark.parametrize("application", [Denies.as_asgi(), SyncDenies.as_asgi(), refuses])
    async def test_by_itself(self, application: ASGIApplication) -> None:
        server = Sansio()
        await server.serve(application)
        assert len(server.sent) == 2

    @pytest.mark.parametrize(
        "application", [Denies.as_asgi(), SyncDenies.as_asgi(), refuses, answers_by_itself]
    )
    async def test_behind_the_outermost_router(self, application: ASGIApplication) -> None:
        server = Sansio()
        view: Any = application
        routed = URLRouter([path("there/", view)])
        await server.serve(ProtocolTypeRouter({"websocket": routed}))
        assert len(server.sent) == 2

    async def test_for_a_path_that_is_unknown(self) -> None:
        server = Sansio()
        await server.serve(ProtocolTypeRouter({"websocket": URLRouter([])}))
        assert server.sent[0]["status"] == 404


class TestTheMessagesOfARefusal:
    async def test_a_thread_s_go_out_in_one_step(self) -> None:
        server = Sansio()
        await server.serve(SyncDenies.as_asgi())
        assert [message["type"] for message in server.sent] == [START["type"], BODY["type"]]
        assert server.steps[0] == server.steps[1]

    async def test_others_are_sent_as_they_come(self) -> None:
        server = Sansio()
        send = in_one_step(server.send)
        other: Message = {"type": "websocket.accept"}
        await send(other)
        assert server.sent == [other]
        await send(START)
        assert server.sent == [other]
        await send(BODY)
        await send(other)
        assert server.sent == [other, START, BODY, other]
