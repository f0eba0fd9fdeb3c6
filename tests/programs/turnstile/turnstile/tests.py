"""Tests of the site, which act as a server that sends headers with a handshake."""

import json
from io import StringIO
from typing import Any

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.routing import get_default_application
from django.core.management import call_command
from django.test import TransactionTestCase


class TurnstileTests(TransactionTestCase):
    """The effect of a handshake on the pages."""

    async def key(self, secret: str) -> str:
        out = StringIO()
        await sync_to_async(call_command)("prepare", stdout=out)
        return str(json.loads(out.getvalue())[secret][0])

    async def knock(self, path: str, key: str) -> tuple[dict[str, Any], Any]:
        """Return the cookies of the accepted handshake, and the message after it."""
        link = ApplicationCommunicator(
            get_default_application(),
            {
                "type": "websocket",
                "path": path,
                "query_string": b"",
                "headers": [(b"cookie", f"sessionid={key}".encode())],
                "subprotocols": [],
            },
        )
        await link.send_input({"type": "websocket.connect"})
        answer = await link.receive_output()
        lines = [
            value.decode() for name, value in answer["headers"] if name.lower() == b"set-cookie"
        ]
        told = json.loads((await link.receive_output())["text"])
        await link.send_input({"type": "websocket.disconnect", "code": 1000})
        await link.wait()
        cookies = dict(line.partition(";")[0].split("=", 1) for line in lines)
        return cookies, told

    async def who(self, key: str) -> Any:
        self.async_client.cookies["sessionid"] = key
        return (await self.async_client.get("/who/")).json()["user"]

    async def test_a_login_comes_with_the_answer(self) -> None:
        cookies, told = await self.knock("/ws/log-in/accept/", await self.key("now"))
        assert told == {"user": "ben", "problem": ""}
        assert await self.who(cookies["sessionid"]) == "ben"

    async def test_a_session_of_the_secret_before_is_as_good(self) -> None:
        key = await self.key("before")
        _, told = await self.knock("/ws/look/accept/", key)
        assert told == {"user": "anna", "problem": ""}
        assert await self.who(key) == "anna"
