"""The test tools with all packages: real authentication, layers, and PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.auth import AuthMiddlewareStack, disconnect_user, get_user, login, logout
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User
from django.http.cookie import parse_cookie
from django.test import TestCase

from channels_core.typing import Message
from postgresql_server import require_postgresql
from processes import SECONDS
from tools.packages import by_name


class Greeting(WebsocketConsumer):
    """Sends the name of the user, from a thread."""

    def connect(self) -> None:
        self.accept()
        self.send(f"{self.scope['user']} {self.scope['session'].get('cart')}")


class AsyncGreeting(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        user = await get_user(self.scope)
        await self.accept()
        await self.send(f"{user} {await self.scope['session'].aget('cart')}")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await logout(self.scope)
        await self.send(str(self.scope["user"]))


class Page(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        user = await get_user(self.scope)
        if body:
            user = await User.objects.aget(username=body.decode())
            await login(self.scope, user)
        await self.send_response(200, str(user).encode())


async def greeting(consumer: Any, **kwargs: Any) -> str:
    """Return the first frame of a consumer behind the whole stack."""
    async with WebsocketCommunicator(AuthMiddlewareStack(consumer), "/", **kwargs) as socket:
        return str(await socket.receive_from(SECONDS))


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna")


@pytest.mark.parametrize("consumer", [Greeting, AsyncGreeting])
class TestWhoIsThere:
    async def test_nobody(self, anna: User, consumer: Any) -> None:
        assert await greeting(consumer) == "AnonymousUser None"

    async def test_a_user(self, anna: User, consumer: Any) -> None:
        assert await greeting(consumer, user=anna) == "anna None"

    async def test_a_user_with_a_session(self, anna: User, consumer: Any) -> None:
        assert await greeting(consumer, user=anna, session={"cart": 1}) == "anna 1"

    def test_the_cookie_of_djangos_client(self, anna: User, client: Any, consumer: Any) -> None:
        client.force_login(anna)
        assert async_to_sync(greeting)(consumer, cookies=client.cookies) == "anna None"


async def test_the_user_is_found_by_the_cookie_alone(anna: User) -> None:
    socket = WebsocketCommunicator(AuthMiddlewareStack(Greeting), "/", user=anna)
    async with socket:
        assert await socket.receive_from(SECONDS) == "anna None"
    assert not socket.scope.keys() & {"user", "session"}


class TestLogins:
    async def test_a_login_over_http_is_one_on_the_socket(self, anna: User) -> None:
        page = HttpCommunicator(AuthMiddlewareStack(Page), "POST", "/", b"anna")
        response = await page.get_response(SECONDS)
        assert response.text == "anna"
        key = parse_cookie(response.headers["set-cookie"])["sessionid"]
        assert await greeting(Greeting, cookies={"sessionid": key}) == "anna None"

    async def test_a_logout(self, anna: User) -> None:
        stack = AuthMiddlewareStack(AsyncGreeting)
        async with WebsocketCommunicator(stack, "/", user=anna) as socket:
            assert await socket.receive_from(SECONDS) == "anna None"
            await socket.send_to("leave")
            assert await socket.receive_from(SECONDS) == "AnonymousUser"

    async def test_a_socket_that_ends_with_the_login(self, anna: User, channel_layer: Any) -> None:
        stack = AuthMiddlewareStack(AsyncGreeting, ends_with_login=True)
        async with WebsocketCommunicator(stack, "/", user=anna) as socket:
            await socket.receive_from(SECONDS)
            await disconnect_user(anna, code=4001)
            await socket.assert_closed(4001, SECONDS)


class TestAsDjangoWritesTests(TestCase):
    anna: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.anna = User.objects.create_user("anna")

    async def test_a_user(self) -> None:
        for consumer in (Greeting, AsyncGreeting):
            assert await greeting(consumer, user=self.anna) == "anna None"
        page = HttpCommunicator(AuthMiddlewareStack(Page), "GET", "/", user=self.anna)
        assert (await page.get_response(SECONDS)).text == "anna"


class TestChannelLayer:
    class Member(AsyncWebsocketConsumer):
        groups = ["tea"]

        async def chat_message(self, message: Message) -> None:
            await self.send(message["text"])

    async def test_it_is_the_one_of_the_test(
        self, channel_layer: Any, websocket_communicator: Any
    ) -> None:
        assert isinstance(channel_layer, InMemoryChannelLayer)
        assert get_channel_layer() is channel_layer
        socket = websocket_communicator(self.Member, "/")
        await socket.connect(SECONDS)
        await channel_layer.group_send("tea", {"type": "chat.message", "text": "hello"})
        assert await socket.receive_from(SECONDS) == "hello"

    def test_the_next_one_is_empty(self, channel_layer: Any) -> None:
        assert not channel_layer.groups


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with require_postgresql() as folder:
        yield folder


def test_what_tests_and_applications_see_of_each_other_on_postgresql(postgresql: str) -> None:
    folder = by_name("channels-testing").folder
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "channels_testing.pytest_plugin"]
    options += ["-k", "not test_it_is_the_same_in_memory"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder / "tests" / "test_database.py")],
        cwd=folder,
        env={**inherited, "CHANNELS_TEST_DATABASE": postgresql},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
