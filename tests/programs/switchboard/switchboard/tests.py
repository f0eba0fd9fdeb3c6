"""The site's own tests."""

import asyncio

from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.test import SimpleTestCase

from .asgi import application


class Test(SimpleTestCase):
    async def test_callers_are_answered_together(self) -> None:
        scope = {"type": "http", "method": "GET", "path": "/calls/", "headers": []}
        callers = [ApplicationCommunicator(application, scope) for _ in range(3)]
        for caller in callers:
            await caller.send_input({"type": "http.request"})
            assert (await caller.receive_output(20))["status"] == 200
            assert (await caller.receive_output(20))["more_body"]
        layer = get_channel_layer()
        assert layer is not None
        await layer.group_send("callers", {"type": "call.answered", "text": "hello"})
        for caller in callers:
            last = await caller.receive_output(20)
            assert (last["body"], last["more_body"]) == (b'"hello"', False)
            await caller.wait(20)

    async def test_a_view_answers_them(self) -> None:
        scope = {"type": "http", "method": "GET", "path": "/calls/", "headers": []}
        caller = ApplicationCommunicator(application, scope)
        await caller.send_input({"type": "http.request"})
        await caller.receive_output(20)
        await caller.receive_output(20)
        response = await self.async_client.get("/ring/")
        assert response.content == b"rung"
        async with asyncio.timeout(20):
            last = await caller.receive_output(20)
        assert last["body"] == b'"hello"'
