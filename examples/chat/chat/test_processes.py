"""Tests of the site's other processes: run them with `python manage.py test`."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from channels.layers import BaseChannelLayer, get_channel_layer
from channels.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, TestCase, override_settings

from chat.announcing import announce
from chat.jobs import STATS, count
from chat.models import Message
from chat.tests import websocket
from chatsite.asgi import application


def layer() -> BaseChannelLayer:
    """Return the channel layer."""
    found = get_channel_layer()
    assert found is not None
    return found


def new_layer() -> AbstractContextManager[Any]:
    """Use a new layer, in which at most two jobs can wait."""
    memory: dict[str, Any] = settings.LAYERS["memory"]
    config = {**memory["CONFIG"], "channel_capacity": {STATS: 2}}
    return override_settings(CHANNEL_LAYERS={"default": {**memory, "CONFIG": config}})


@asynccontextmanager
async def worker(jobs: int = 1) -> AsyncIterator[None]:
    """Handle the next jobs, as `runworker` does."""
    scope = {"type": "channel", "channel": STATS}
    async with ApplicationCommunicator(application, scope) as consumer:
        for _ in range(jobs):
            await consumer.send_input(await layer().receive(STATS))
        yield


class StatsTests(TestCase):
    """The job that a member sends to the worker."""

    anna: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create a member."""
        cls.anna = User.objects.create_user("Anna")

    def setUp(self) -> None:
        """Start without jobs."""
        self.enterContext(new_layer())

    async def test_the_result_reaches_the_member_who_asked(self) -> None:
        """Messages still arrive during the count, and nobody else gets the result."""
        await Message.objects.acreate(room="coffee", author="Ben", text="Not in here.")
        async with (
            websocket("/ws/rooms/tea/", user=self.anna) as asking,
            websocket("/ws/rooms/tea/", user=self.anna) as other,
        ):
            await asking.send_json_to({"ask": "stats"})
            await asking.send_json_to({"text": "Milk, anyone?"})
            for member in (asking, other):
                self.assertEqual((await member.receive_json_from())["text"], "Milk, anyone?")
            async with worker():
                expected = {"stats": {"messages": 1, "words": 2, "authors": [["Anna", 1]]}}
                self.assertEqual(await asking.receive_json_from(), expected)
                self.assertTrue(await other.receive_nothing())

    async def test_a_client_chooses_neither_the_room_nor_the_address(self) -> None:
        """Only the exact request of the page is accepted."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            for more in ({"room": "coffee"}, {"reply_to": "elsewhere"}, {"type": "stats.ready"}):
                await anna.send_json_to({"ask": "stats", **more})
                self.assertEqual(list((await anna.receive_json_from())["errors"]), ["text"])
            for other in ("count", "stats.ready", "", None, ["stats"]):
                await anna.send_json_to({"ask": other})
                self.assertEqual(list((await anna.receive_json_from())["errors"]), ["text"])
            await anna.send_json_to({"ask": "stats"})
            job = await layer().receive(STATS)
            # A message to this channel reaches this member.
            await layer().send(job.pop("reply_to"), {"type": "stats.ready", "stats": "here"})
            self.assertEqual(await anna.receive_json_from(), {"stats": "here"})
        self.assertEqual(job, {"type": "stats.count", "room": "tea"})

    async def test_a_full_channel_is_reported(self) -> None:
        """No worker runs, and the channel has room for two jobs."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as anna:
            for _ in range(3):
                await anna.send_json_to({"ask": "stats"})
            [problem] = (await anna.receive_json_from())["errors"]["ask"]
            self.assertIn("Too many requests are waiting", problem["message"])

    async def test_a_member_may_leave_before_the_result(self) -> None:
        """The worker continues with the next job."""
        async with websocket("/ws/rooms/tea/", user=self.anna) as leaving:
            await leaving.send_json_to({"ask": "stats"})
            # This is answered after the request for statistics.
            await leaving.send_json_to({})
            await leaving.receive_json_from()
        async with websocket("/ws/rooms/tea/", user=self.anna) as staying:
            await staying.send_json_to({"ask": "stats"})
            async with worker(jobs=2):
                self.assertEqual((await staying.receive_json_from())["stats"]["messages"], 0)

    def test_counting(self) -> None:
        """All messages of the room, and the three members who wrote most of them."""
        self.assertEqual(count("tea"), {"messages": 0, "words": 0, "authors": []})
        for author, times in (("Ben", 2), ("Anna", 3), ("Dora", 1), ("Carla", 4)):
            for _ in range(times):
                Message.objects.create(room="tea", author=author, text="two  words")
        most = [["Carla", 4], ["Anna", 3], ["Ben", 2]]
        self.assertEqual(count("tea"), {"messages": 10, "words": 20, "authors": most})


class AnnouncementTests(TestCase):
    """Announcements to everybody who is connected."""

    anna: User

    @classmethod
    def setUpTestData(cls) -> None:
        """Create a member."""
        cls.anna = User.objects.create_user("Anna")

    async def test_all_rooms_or_one(self) -> None:
        """Nothing is stored."""
        async with (
            websocket("/ws/rooms/tea/", user=self.anna) as tea,
            websocket("/ws/rooms/coffee/", user=self.anna) as coffee,
        ):
            await announce("We close at ten.")
            for member in (tea, coffee):
                heard = await member.receive_json_from()
                self.assertEqual(heard["announcement"], "We close at ten.")
                self.assertIn("sent_at", heard)
            await announce("The kettle boils.", "tea")
            self.assertEqual((await tea.receive_json_from())["announcement"], "The kettle boils.")
            self.assertTrue(await coffee.receive_nothing())
        self.assertFalse(await Message.objects.aexists())

    def test_the_command_explains_errors(self) -> None:
        """An invalid text or room, and a layer that reaches nobody."""
        for arguments, problem in (
            (("",), "text: This field is required"),
            (("a" * 501,), "text: Ensure this value has at most 500"),
            (("Hello", "--room", "no spaces please"), "room: A room's name has"),
            (("Hello", "--room", ""), "room: This field is required"),
            (("Hello",), "reaches nobody"),
        ):
            with self.assertRaisesMessage(CommandError, problem):
                call_command("announce", *arguments)


class SettingsTests(SimpleTestCase):
    """The channel layer, which an environment variable selects."""

    def ask(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Return the output of a process with these environment variables."""
        ask = "from chatsite.settings import CHANNEL_LAYERS; print(CHANNEL_LAYERS['default'])"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CHANNEL_LAYER", "REDIS_URL")
        }
        return subprocess.run(
            [sys.executable, "-c", ask],
            cwd=settings.BASE_DIR,
            env=inherited | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_each_layer(self) -> None:
        """The default is the one in memory."""
        self.assertIn("InMemoryChannelLayer", self.ask().stdout)
        for name, backend in (
            ("layers-redis", "channels_layers_redis.RedisChannelLayer"),
            ("redis", "channels_redis.core.RedisChannelLayer"),
            ("redis-pubsub", "channels_redis.pubsub.RedisPubSubChannelLayer"),
        ):
            printed = self.ask(CHANNEL_LAYER=name).stdout
            self.assertIn(backend, printed)
            self.assertIn("redis://127.0.0.1:6379/0", printed)
            printed = self.ask(CHANNEL_LAYER=name, REDIS_URL="redis://example.org/1").stdout
            self.assertIn("redis://example.org/1", printed)

    def test_an_unknown_one(self) -> None:
        """The message lists the known names."""
        asked = self.ask(CHANNEL_LAYER="rabbit")
        self.assertNotEqual(asked.returncode, 0)
        self.assertIn(
            "one of memory, layers-redis, redis, redis-pubsub, not 'rabbit'", asked.stderr
        )
