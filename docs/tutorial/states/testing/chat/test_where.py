"""Tests of a sync and of an async consumer."""

from channels.testing import WebsocketCommunicator
from django.test import SimpleTestCase

from chat.where import AsyncWhere, SyncWhere


class WhereTests(SimpleTestCase):
    async def test_both_answer_in_the_same_way(self):
        for consumer in (AsyncWhere, SyncWhere):
            async with WebsocketCommunicator(consumer, "/") as client:
                await client.send_json_to("quick")
                answer = await client.receive_json_from()
                self.assertEqual(answer[0], "quick")
