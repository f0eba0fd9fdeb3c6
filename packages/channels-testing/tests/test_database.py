"""What a test and the application that it drives see of each other in the database.

Run once more on SQLite in memory, here, and on PostgreSQL, by the tests of the whole tree.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from asgiref.sync import AsyncToSync, SyncToAsync, async_to_sync
from django.contrib.auth.models import Group
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import TestCase, TransactionTestCase
from django.urls import path

from channels_core.db import database_sync_to_async
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_testing import _database
from channels_testing.http import HttpCommunicator
from channels_testing.websocket import WebsocketCommunicator

# A net, for a machine under load.
SECONDS = 60

SQLITE_IN_MEMORY = os.environ.get("CHANNELS_TEST_DATABASE") == "memory"


def note(name: str) -> str:
    """Create a group of this name, and return the names of all, as all applications here do."""
    if name == "close":
        close_old_connections()
        connections.close_all()
    else:
        Group.objects.create(name=name)
    return " ".join(sorted(group.name for group in Group.objects.all()))


class Sync(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(note(text_data or ""))


class Async(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await Group.objects.acreate(name=text_data or "")
        await self.send(" ".join(sorted([group.name async for group in Group.objects.all()])))


class Thread(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(await database_sync_to_async(note)(text_data or ""))


def view(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(note(name))


async def async_view(request: HttpRequest, name: str) -> HttpResponse:
    await Group.objects.acreate(name=name)
    return HttpResponse(" ".join(sorted([group.name async for group in Group.objects.all()])))


urlpatterns = [path("sync/<name>/", view), path("async/<name>/", async_view)]


def by_socket(consumer: Any) -> Callable[[str], Awaitable[str]]:
    async def ask(name: str) -> str:
        async with WebsocketCommunicator(consumer, "/") as socket:
            await socket.send_to(name)
            return str(await socket.receive_from(SECONDS))

    return ask


def by_view(colour: str) -> Callable[[str], Awaitable[str]]:
    async def ask(name: str) -> str:
        async with HttpCommunicator(get_asgi_application(), "GET", f"/{colour}/{name}/") as http:
            return (await http.get_response(SECONDS)).text

    return ask


WAYS: dict[str, Callable[[str], Awaitable[str]]] = {
    "sync-consumer": by_socket(Sync),
    "async-consumer": by_socket(Async),
    "thread": by_socket(Thread),
    "sync-view": by_view("sync"),
    "async-view": by_view("async"),
}

each_way = pytest.mark.parametrize("way", WAYS)


def in_the_other_thread(function: Callable[[], Any]) -> Any:
    return SyncToAsync.single_thread_executor.submit(function).result()


@pytest.fixture(autouse=True)
def nothing_is_left(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    before = in_the_other_thread(lambda: connections.all(initialized_only=True))
    usual = set(vars(connection._connections[connection._alias]))  # type: ignore[attr-defined] # of Django's proxy
    yield
    after = in_the_other_thread(lambda: connections.all(initialized_only=True))
    assert [one for one in before if one not in after] == []
    assert connections["default"] not in after
    assert not AsyncToSync.loop_thread_executors
    assert not _database._held._counts
    assert not _database._lender._counts
    assert not _database._lender._own
    assert set(vars(connections["default"])) <= usual
    assert not connections["default"].allow_thread_sharing or SQLITE_IN_MEMORY


class InATestCase:
    """What holds in a test case of either kind."""

    shared: tuple[str, ...] = ()

    def setUp(self) -> None:
        Group.objects.create(name="setUp")

    async def see(self, *ways: str) -> None:
        """Let applications of several kinds see what was created, and see what they create."""
        names = {"setUp", *self.shared}
        for way in ways or WAYS:
            names.add(f"a-{way}")
            assert await WAYS[way](f"a-{way}") == " ".join(sorted(names)), way
            await Group.objects.acreate(name=f"b-{way}")
            names.add(f"b-{way}")
        assert {group.name async for group in Group.objects.all()} == names

    async def test_all_see_the_same(self) -> None:
        await self.see()

    def test_all_see_the_same_from_a_synchronous_test(self) -> None:
        async_to_sync(self.see)()
        assert len(Group.objects.all()) == 1 + len(self.shared) + 2 * len(WAYS)

    def test_what_is_rolled_back_later_is_seen_too(self) -> None:
        with transaction.atomic():
            async_to_sync(self.see)()
            transaction.set_rollback(True)
        assert len(Group.objects.all()) == 1 + len(self.shared)


class TestInATestCase(InATestCase, TestCase):
    shared = ("setUpTestData",)

    @classmethod
    def setUpTestData(cls) -> None:
        Group.objects.create(name="setUpTestData")

    async def test_a_program_that_closes_connections_does_not_close_this_one(self) -> None:
        for way in ("sync-consumer", "thread", "sync-view"):
            assert await WAYS[way]("close") == "setUp setUpTestData"

    def test_all_see_the_same_in_an_event_loop_of_the_tests_thread(self) -> None:
        # As `IsolatedAsyncioTestCase` does it, and any test that runs a loop by itself.
        async def see() -> None:
            for way, ask in WAYS.items():
                assert "setUp setUpTestData" in await ask(f"a-{way}")

        asyncio.run(see())
        assert len(Group.objects.all()) == 2 + len(WAYS)


class TestInATransactionTestCase(InATestCase, TransactionTestCase):
    def test_an_old_connection_stays_open(self) -> None:
        before = connection.connection
        async_to_sync(self.see)("sync-consumer", "sync-view")
        assert connection.connection is before

    async def test_two_that_overlap(self) -> None:
        first = WebsocketCommunicator(Sync, "/")
        await first.connect(SECONDS)
        second = WebsocketCommunicator(Sync, "/")
        await second.connect(SECONDS)
        await first.disconnect(timeout=SECONDS)
        await second.send_to("old")
        assert await second.receive_from(SECONDS) == "old setUp"
        await second.disconnect(timeout=SECONDS)


@pytest.fixture
def anna(db: None) -> None:
    Group.objects.create(name="anna")


@pytest.mark.django_db
class TestInATransactionOfPytest:
    """`pytest.mark.django_db`: the transaction is one of the thread that the event loop runs in."""

    @each_way
    async def test_what_a_fixture_created_is_seen(self, anna: None, way: str) -> None:
        assert await WAYS[way]("ben") == "anna ben"
        assert await WAYS[way]("carl") == "anna ben carl"

    @each_way
    @pytest.mark.usefixtures("lent_connections")
    async def test_what_the_test_created_is_seen(self, anna: None, way: str) -> None:
        await Group.objects.acreate(name="ben")
        assert await WAYS[way]("carl") == "anna ben carl"
        assert await Group.objects.acount() == 3

    def test_a_synchronous_test(self, anna: None) -> None:
        assert async_to_sync(WAYS["sync-consumer"])("ben") == "anna ben"
        assert Group.objects.count() == 2

    @pytest.mark.parametrize("way", ["sync-consumer", "thread", "sync-view"])
    async def test_nothing_closes_the_connection(self, anna: None, way: str) -> None:
        assert await WAYS[way]("close") == "anna"
        assert await WAYS[way]("ben") == "anna ben"

    async def test_two_at_once(self, anna: None) -> None:
        asked = [WAYS[way](way) for way in WAYS]
        answers = await asyncio.gather(*asked)
        assert max(map(len, answers)) == len(" ".join(["anna", *WAYS]))

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
    async def test_several_that_overlap(self, anna: None, order: tuple[int, ...]) -> None:
        sockets = [WebsocketCommunicator(Sync, "/") for _ in order]
        for socket in sockets:
            await socket.connect(SECONDS)
        names = "anna"
        for number in order:
            for name in (f"x{number}", f"y{number}"):
                await sockets[number].send_to(name)
                names = " ".join(sorted([*names.split(), name]))
                assert await sockets[number].receive_from(SECONDS) == names
            await sockets[number].disconnect(timeout=SECONDS)

    async def test_one_that_is_never_stopped(self, anna: None) -> None:
        socket = WebsocketCommunicator(Sync, "/")
        await socket.connect(SECONDS)
        await socket.send_to("ben")
        # Neither received nor stopped; `nothing_is_left` looks after the event loop has ended.

    async def test_one_that_times_out(self, anna: None) -> None:
        socket = WebsocketCommunicator(Async, "/")
        await socket.connect(SECONDS)
        with pytest.raises(TimeoutError):
            await socket.receive_from(0)
        assert socket.future.cancelled()

    async def test_one_that_fails(self, anna: None) -> None:
        async with WebsocketCommunicator(Sync, "/") as socket:
            await socket.send_to("anna")  # There is one of this name.
            with pytest.raises(Exception, match=r"(?i)unique"):
                await socket.receive_from(SECONDS)

    async def test_one_that_is_cancelled_before_it_runs(self, anna: None) -> None:
        socket = WebsocketCommunicator(Sync, "/")
        await socket.send_input({"type": "websocket.connect"})
        socket.stop()
        await asyncio.wait({socket.future})
        assert await WAYS["sync-consumer"]("ben") == "anna ben"

    async def test_the_other_threads_own_connection_comes_back(self, anna: None) -> None:
        own = in_the_other_thread(lambda: connections["default"])
        assert own is not connections["default"]
        assert await WAYS["sync-view"]("ben") == "anna ben"
        assert in_the_other_thread(lambda: connections["default"]) is own

    async def test_it_ends_with_its_communicator(self, anna: None) -> None:
        socket = WebsocketCommunicator(Sync, "/")
        await socket.connect(SECONDS)
        task = socket.future
        del socket
        await asyncio.wait({task}, timeout=SECONDS)
        assert task.cancelled()


@pytest.mark.django_db(transaction=True)
class TestWithoutATransaction:
    """`pytest.mark.django_db(transaction=True)`: what is created is there for everybody."""

    @each_way
    async def test_what_a_fixture_created_is_seen(
        self, anna: None, lent_connections: None, way: str
    ) -> None:
        await Group.objects.acreate(name="ben")
        assert await WAYS[way]("carl") == "anna ben carl"
        assert await WAYS[way]("dora") == "anna ben carl dora"
        assert await Group.objects.acount() == 4

    async def test_synchronous_handlers_run_as_under_a_server(self, anna: None) -> None:
        threads = []

        class Where(WebsocketConsumer):
            def connect(self) -> None:
                threads.append(threading.current_thread().name)
                super().connect()

        async with WebsocketCommunicator(Where, "/"):
            pass
        [name] = threads
        assert name.startswith("channels-sync") is not SQLITE_IN_MEMORY


class TestWithoutADatabase:
    async def test_an_application_that_asks_for_it_is_told(self) -> None:
        socket = WebsocketCommunicator(Async, "/")
        await socket.connect(SECONDS)
        await socket.send_to("ben")
        with pytest.raises(RuntimeError, match="Database access not allowed"):
            await socket.receive_from(SECONDS)

    def test_without_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unconfigured(initialized_only: bool) -> NoReturn:
            raise ImproperlyConfigured

        with monkeypatch.context() as patch, _database.lent_connections():
            patch.setattr(connections, "all", unconfigured)
            with _database.lent_connections():
                pass

    def test_a_program_without_settings(self) -> None:
        program = """
import asyncio
from asgiref.sync import async_to_sync
from channels_testing._database import lent_connections
from channels_testing.application import ApplicationCommunicator

async def application(scope, receive, send):
    await send({"type": "said"})

async def main():
    print(await ApplicationCommunicator(application, {"type": "test"}).receive_output())

asyncio.run(main())
async_to_sync(main)()
with lent_connections():
    pass
"""
        assert run({}, "-c", program) == "{'type': 'said'}\n" * 2


def run(environment: dict[str, str], *arguments: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parent.parent,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.skipif(SQLITE_IN_MEMORY, reason="this is that run")
def test_it_is_the_same_in_memory() -> None:
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "channels_testing.pytest_plugin"]
    output = run({"CHANNELS_TEST_DATABASE": "memory"}, "-m", "pytest", *options, __file__)
    assert "1 skipped" in output
