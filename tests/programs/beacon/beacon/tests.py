"""Tests of the site without a tracer."""

from channels.testing import WebsocketCommunicator
from django.test import SimpleTestCase

from .asgi import application

ORIGIN = [(b"origin", b"http://localhost")]


class TestEchoes(SimpleTestCase):
    """Each WebSocket sends back what it received."""

    async def test_echoes(self) -> None:
        for path in ("/ws/echo/", "/ws/sync/echo/"):
            with self.subTest(path):
                communicator = WebsocketCommunicator(application, path, headers=ORIGIN)
                connected, _ = await communicator.connect()
                assert connected
                await communicator.send_to(text_data="once")
                assert await communicator.receive_from() == "once"
                await communicator.disconnect()


class TestPage(SimpleTestCase):
    """A visitor without a login is greeted as such."""

    async def test_hello(self) -> None:
        response = await self.async_client.get("/hello/", headers={"host": "localhost"})
        assert response.content == b"hello, AnonymousUser"
