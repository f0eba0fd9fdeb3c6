"""Tests in the style of Django."""

from channels.layers import channel_layers
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import TestCase, override_settings

from chat.models import Message
from docs.snippets.desk import application

__all__ = ["DeskTests", "NewsTests"]


class DeskTests(TestCase):
    """Test as a member who has written a message."""

    anna: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.anna = User.objects.create_user("anna")

    def setUp(self) -> None:
        Message.objects.create(room="tea", author="anna", text="Milk?")

    async def test_a_count(self) -> None:
        await Message.objects.acreate(room="tea", author="anna", text="Sugar?")
        async with WebsocketCommunicator(application, "/desk/", user=self.anna) as socket:
            await socket.send_json_to("count")
            self.assertEqual(await socket.receive_json_from(), {"messages": 2})

    async def test_an_export(self) -> None:
        request = HttpCommunicator(application, "GET", "/export/")
        request.force_login(self.anna)
        response = await request.get_response()
        self.assertEqual(response["status"], 200)
        self.assertEqual(response["body"], b"Milk?\n")

    async def test_strangers(self) -> None:
        socket = WebsocketCommunicator(application, "/desk/")
        connected, _ = await socket.connect()
        self.assertFalse(connected)


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
class NewsTests(TestCase):
    """Test with a channel layer that only this class uses."""

    async def test_news(self) -> None:
        user = await User.objects.acreate(username="anna")
        async with WebsocketCommunicator(application, "/desk/", user=user) as socket:
            news = {"type": "desk.news", "text": "We open."}
            await channel_layers["default"].group_send("desk", news)
            self.assertEqual(await socket.receive_json_from(), {"news": "We open."})
