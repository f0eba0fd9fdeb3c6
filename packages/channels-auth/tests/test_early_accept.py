import asyncio
import logging
from typing import Any

import pytest

from channels_auth._tokens.early_accept import run_accepted
from channels_core.exceptions import ConnectionStateError, RouteNotFound
from channels_core.generic.websocket import AsyncWebsocketConsumer
from channels_core.routing import URLRouter
from channels_core.typing import ASGIApplication, Message, Receive, Scope, Send


async def run(
    application: ASGIApplication, *messages: Message, fault: Exception | None = None, **scope: Any
) -> tuple[list[Message], list[Message]]:
    """Return the messages that were sent, and the accepts that were not."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    for message in messages:
        inbox.put_nowait(message)
    sent: list[Message] = []
    accepts: list[Message] = []

    async def send(message: Message) -> None:
        if fault is not None:
            raise fault
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws/", **scope}
    await run_accepted(application, scope, inbox.get, send, accepts.append)
    return sent, accepts


def sending(*messages: Message) -> ASGIApplication:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return application


ACCEPT = {"type": "websocket.accept", "subprotocol": "a"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": []}
BODY = {"type": "websocket.http.response.body", "body": b"no"}


class TestAccept:
    async def test_it_is_not_sent_and_later_messages_are(self) -> None:
        frame = {"type": "websocket.send", "text": "a"}
        close = {"type": "websocket.close", "code": 4000}
        assert await run(sending(ACCEPT, frame, close)) == ([frame, close], [ACCEPT])

    async def test_a_second_accept_is_passed_to_the_server(self) -> None:
        assert await run(sending(ACCEPT, ACCEPT)) == ([ACCEPT], [ACCEPT])
        assert await run(sending(ACCEPT, BODY)) == ([BODY], [ACCEPT])

    async def test_a_frame_before_it_is_an_error_and_not_sent(self) -> None:
        async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
            with pytest.raises(ConnectionStateError, match="before the application has accepted"):
                await send({"type": "websocket.send", "text": "secret"})
            await send({"type": "websocket.close"})

        expected = {"type": "websocket.close", "code": 4403, "reason": ""}
        assert await run(stubborn) == ([expected], [])

    async def test_messages_come_after_a_connect_in_their_order(self) -> None:
        texts: list[Any] = []

        class Listening(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                texts.append("connect")
                await self.accept()

            async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                texts.append(text_data)

        frames = [{"type": "websocket.receive", "text": text} for text in "abc"]
        end = {"type": "websocket.disconnect", "code": 1000}
        sent, [accept] = await run(Listening.as_asgi(), *frames, end)
        assert (sent, accept["type"]) == ([], "websocket.accept")
        assert texts == ["connect", "a", "b", "c"]

    async def test_what_the_application_returns_is_returned(self) -> None:
        async def application(scope: Scope, receive: Receive, send: Send) -> Any:
            return (await receive())["type"]

        unused: Any = None
        assert await run_accepted(application, {}, unused, unused, unused) == "websocket.connect"


class TestRefusal:
    @pytest.mark.parametrize(
        ("refusal", "code"),
        [
            ({"type": "websocket.close"}, 4403),
            ({"type": "websocket.close", "code": 4007}, 4007),
            ({"type": "websocket.close", "code": 1000}, 1000),
            ({"type": "websocket.close", "code": 3000}, 3000),
            # Codes that servers do not let an application close with.
            ({"type": "websocket.close", "code": 1008}, 4403),
            ({"type": "websocket.close", "code": 403}, 4403),
            ({"type": "websocket.close", "code": 5000}, 4403),
            (START, 4401),
            ({"type": "websocket.http.response.start"}, 4403),
        ],
    )
    async def test_it_becomes_a_close(self, refusal: Message, code: int) -> None:
        expected = {"type": "websocket.close", "code": code, "reason": ""}
        assert await run(sending(refusal)) == ([expected], [])

    async def test_its_reason_stays(self) -> None:
        sent, _ = await run(sending({"type": "websocket.close", "reason": "full"}))
        assert sent == [{"type": "websocket.close", "code": 4403, "reason": "full"}]

    async def test_its_body_is_dropped(self) -> None:
        sent, _ = await run(sending(START, BODY, BODY))
        assert [message["type"] for message in sent] == ["websocket.close"]

    async def test_the_denial_response_is_not_offered(self) -> None:
        class Refusing(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                assert self.scope["extensions"] == {"tls": {}}
                await self.deny(401, code=4001)

        end = {"type": "websocket.disconnect", "code": 4001}
        extensions: dict[str, Any] = {"websocket.http.response": {}, "tls": {}}
        sent, _ = await run(Refusing.as_asgi(), end, extensions=extensions)
        assert sent == [{"type": "websocket.close", "code": 4001, "reason": ""}]
        assert len(extensions) == 2


class TestRoutes:
    async def test_a_path_without_a_route_is_a_close(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "django.channels")
        sent, _ = await run(URLRouter([]))
        assert sent == [{"type": "websocket.close", "code": 4404}]
        [line] = caplog.messages
        assert line.startswith("websocket '/ws/': No route found for path 'ws/'")

    async def test_the_client_may_have_left(self) -> None:
        assert await run(URLRouter([]), fault=OSError()) == ([], [])

    async def test_after_the_answer_it_is_an_error(self) -> None:
        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            await send(ACCEPT)
            raise RouteNotFound

        with pytest.raises(RouteNotFound):
            await run(late)
