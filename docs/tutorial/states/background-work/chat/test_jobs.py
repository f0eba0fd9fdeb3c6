"""Tests of the work for the worker."""

from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.test import TestCase

from chat.models import Message
from chat.tests import websocket
from chatsite.asgi import application


class StatsTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.anna = User.objects.create_user("Anna")

    async def test_the_answer_reaches_the_member_who_asked(self):
        await Message.objects.acreate(
            room="coffee", author="Ben", text="not in this room"
        )
        async with websocket("/ws/rooms/tea/", self.anna) as anna:
            await anna.send_json_to({"text": "Milk, anyone?"})
            await anna.receive_json_from()
            await anna.send_json_to({"ask": "stats"})
            # This is what `runworker` does.
            job = await get_channel_layer().receive("chat-stats")
            scope = {"type": "channel", "channel": "chat-stats"}
            worker = ApplicationCommunicator(application, scope)
            await worker.send_input(job)
            heard = await anna.receive_json_from()
            self.assertEqual(heard, {"words": {"Anna": 2}})
