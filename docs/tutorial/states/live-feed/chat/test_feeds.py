"""Tests of the feed."""

from channels.testing import HttpCommunicator
from django.contrib.auth.models import User
from django.test import TestCase

from chat.models import Message
from chat.tests import websocket
from chatsite.asgi import application


class FeedTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.anna = User.objects.create_user("Anna")

    def feed(self, user):
        path = "/feed/events/"
        return HttpCommunicator(application, "GET", path, user=user)

    async def test_the_messages_of_all_rooms_arrive(self):
        await Message.objects.acreate(room="tea", text="one")
        async with (
            self.feed(self.anna) as feed,
            websocket("/ws/rooms/coffee/", self.anna) as anna,
        ):
            await feed.receive_body()  # The stream begins: a comment.
            event = await feed.receive_body()
            self.assertIn(b'"text": "one"', event)
            await anna.send_json_to({"text": "two"})
            event = await feed.receive_body()
            self.assertIn(b'"text": "two"', event)

    async def test_strangers_are_refused(self):
        response = await self.feed(None).get_response()
        self.assertEqual(response["status"], 401)
