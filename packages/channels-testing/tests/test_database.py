"""What a test and the application under test see of each other's data.

Run once more on SQLite in memory, here, and on PostgreSQL, by the tests of the whole tree.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from asgiref.sync import (
    AsyncToSync,
    SyncToAsync,
    ThreadSensitiveContext,
    async_to_sync,
    sync_to_async,
)
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    IntegrityError,
    InterfaceError,
    close_old_connections,
    connection,
    connections,
    transaction,
)
from django.http import HttpRequest, HttpResponse
from django.test import TestCase, TransactionTestCase
from django.urls import path

from channels_core.db import database_sync_to_async
from channels_core.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels_testing._application import connections as connections_module
from channels_testing._application.lent_connection import LentConnection
from channels_testing.application import ApplicationCommunicator
from channels_testing.http import HttpCommunicator
from channels_testing.websocket import WebsocketCommunicator

# A safety net, for a machine under load.
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


def look() -> None:
    """Check that each test leaves nothing behind, once its transaction has ended."""
    there = in_the_other_thread(lambda: connections.all(initialized_only=True))
    assert not [one for one in there if isinstance(one, LentConnection)]
    assert connections["default"] not in there
    assert not connections_module._lendings
    assert not AsyncToSync.loop_thread_executors
    assert not connections_module._kept_open._counts


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_by_the_last_one(django_db_setup: None) -> Iterator[None]:
    yield
    look()


@pytest.fixture(autouse=True)
def nothing_is_left(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    look()
    usual = set(vars(connection._connections[connection._alias]))  # type: ignore[attr-defined] # of Django's proxy
    yield
    assert not AsyncToSync.loop_thread_executors
    assert not connections_module._kept_open._counts
    assert set(vars(connections["default"])) <= usual
    assert not connections["default"].allow_thread_sharing or SQLITE_IN_MEMORY


class InATestCase:
    """The tests for a test case of either kind."""

    shared: tuple[str, ...] = ()

    def setUp(self) -> None:
        Group.objects.create(name="setUp")

    async def see(self, *ways: str) -> None:
        """Check that applications of several kinds and the test see each other's data."""
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

    def test_data_that_is_rolled_back_later_is_seen_too(self) -> None:
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
        # As in an `IsolatedAsyncioTestCase`, or any test that runs a loop itself.
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
    async def test_data_of_a_fixture_is_seen(self, anna: None, way: str) -> None:
        assert await WAYS[way]("ben") == "anna ben"
        assert await WAYS[way]("carl") == "anna ben carl"

    @each_way
    @pytest.mark.usefixtures("lent_connections")
    async def test_data_of_the_test_is_seen(self, anna: None, way: str) -> None:
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
            await socket.send_to("anna")  # A group of this name exists.
            with pytest.raises(Exception, match=r"(?i)unique"):
                await socket.receive_from(SECONDS)

    async def test_one_that_is_cancelled_before_it_runs(self, anna: None) -> None:
        socket = WebsocketCommunicator(Sync, "/")
        await socket.send_input({"type": "websocket.connect"})
        socket.stop()
        await asyncio.wait({socket.future})
        assert await WAYS["sync-consumer"]("ben") == "anna ben"

    async def test_it_ends_with_its_communicator(self, anna: None) -> None:
        socket = WebsocketCommunicator(Sync, "/")
        await socket.connect(SECONDS)
        task = socket.future
        del socket
        await asyncio.wait({task}, timeout=SECONDS)
        assert task.cancelled()


async def ask(consumer: Any, word: str) -> str:
    return await by_socket(consumer)(word)


class Commits(AsyncWebsocketConsumer):
    """Use transactions as programs do, and send the results."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(" ".join(await database_sync_to_async(getattr(self, text_data or ""))()))

    def on_commit(self) -> list[str]:
        said: list[str] = []
        Group.objects.create(name="x")
        transaction.on_commit(lambda: said.append("at once"))
        with transaction.atomic():
            with transaction.atomic():
                transaction.on_commit(lambda: said.append("after"))
            said.append("within")
        with suppress(ValueError), transaction.atomic():
            Group.objects.create(name="y")
            transaction.on_commit(lambda: said.append("never"))
            raise ValueError
        return said + names()

    def failing(self) -> list[str]:
        for _ in range(2):
            with suppress(IntegrityError):
                Group.objects.create(name="anna")
            Group.objects.get_or_create(name="x")
        with suppress(IntegrityError), transaction.atomic():
            Group.objects.create(name="y")
            Group.objects.create(name="anna")
        return names()

    def state(self) -> list[str]:
        before = connection.in_atomic_block, connection.get_autocommit()
        with transaction.atomic(durable=True):
            return [str(state) for state in (*before, connection.in_atomic_block)]


def names() -> list[str]:
    return sorted(group.name for group in Group.objects.all())


def of_another_connection() -> list[str]:
    """Return the names that another connection sees, because they are committed."""

    def see() -> list[str]:
        try:
            return names()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(see).result()


ON_COMMIT = "at once within after"


@pytest.mark.django_db
class TestLentTransaction:
    """For the application a lent connection is one in autocommit mode."""

    async def test_callbacks_run_when_its_own_transaction_ends(self, anna: None) -> None:
        assert await ask(Commits, "on_commit") == f"{ON_COMMIT} anna x"

    async def test_a_failing_statement_does_not_break_later_ones(self, anna: None) -> None:
        assert await ask(Commits, "failing") == "anna x"
        assert await Group.objects.acount() == 2

    async def test_it_is_in_no_transaction(self, anna: None) -> None:
        assert await ask(Commits, "state") == "False True True"

    async def test_nothing_of_it_is_committed(self) -> None:
        assert await Group.objects.acount() == 0

    async def test_the_test_goes_on_in_its_transaction(self, anna: None) -> None:
        assert await WAYS["thread"]("ben") == "anna ben"
        assert await Group.objects.acount() == 2
        await Group.objects.acreate(name="carl")
        assert await WAYS["thread"]("dora") == "anna ben carl dora"

    async def test_data_written_after_the_start_is_seen(self, db: None) -> None:
        async with WebsocketCommunicator(Thread, "/") as socket:
            loop = asyncio.get_running_loop()
            asyncio._set_running_loop(None)
            Group.objects.create(name="late")
            asyncio._set_running_loop(loop)
            await socket.send_to("ben")
            assert await socket.receive_from(SECONDS) == "ben late"


@contextmanager
def begun_by_hand() -> Iterator[None]:
    """Begin and end a transaction as Django's test cases do, by hand."""
    connection.ensure_connection()
    # So that SQLite does not lock its file before anything is written.
    whole: Any = connection._connections[connection._alias]  # type: ignore[attr-defined] # of Django's proxy
    kept = vars(whole).get("transaction_mode")
    if kept:
        whole.transaction_mode = None
    block: Any = transaction.atomic()
    block._from_testcase = True
    block.__enter__()
    try:
        yield
    finally:
        transaction.set_rollback(True)
        block.__exit__(None, None, None)
        if kept:
            whole.transaction_mode = kept


@pytest.mark.django_db(transaction=True)
class TestTheEndOfLending:
    """It ends with the transaction, even if something still refers to the communicator."""

    def test_it_ends(self) -> None:
        sockets: list[WebsocketCommunicator] = []

        async def begin() -> None:
            sockets.append(WebsocketCommunicator(Thread, "/"))
            await sockets[0].connect(SECONDS)
            await sockets[0].send_to("ben")
            assert await sockets[0].receive_from(SECONDS) == "anna ben"

        async def go_on() -> None:
            await sockets[0].send_to("carl")
            assert await sockets[0].receive_from(SECONDS) == "carl"
            await sockets[0].disconnect(timeout=SECONDS)

        with asyncio.Runner() as runner:
            with begun_by_hand():
                Group.objects.create(name="anna")
                runner.run(begin())
                lent = in_the_other_thread(lambda: connections["default"])
                assert isinstance(lent, LentConnection)
            look()
            runner.run(go_on())
        assert [group.name for group in Group.objects.all()] == ["carl"]
        with pytest.raises(InterfaceError, match="has ended"):
            in_the_other_thread(lent.commit)
        in_the_other_thread(connections.close_all)

    def test_a_transaction_of_the_test_within_it(self) -> None:
        with begun_by_hand():
            with transaction.atomic():
                Group.objects.create(name="anna")
                assert asyncio.run(of_the_thread("ben")) == "anna ben"
            assert asyncio.run(of_the_thread("carl")) == "anna ben carl"
        look()

    def test_a_transaction_without_a_test_case(self) -> None:
        with transaction.atomic():
            Group.objects.create(name="anna")
            assert asyncio.run(of_the_thread("ben")) == "anna ben"
        look()
        assert names() == ["anna", "ben"]

    def test_it_ends_before_the_thread_has_come_to_it(self) -> None:
        lending = connections_module._Lending(connections["default"])
        lending.end()
        in_the_other_thread(lending.begin)
        look()


async def of_the_thread(name: str) -> str:
    return await WAYS["thread"](name)


@pytest.mark.django_db(transaction=True)
class TestNothingIsWritten:
    """The application has a connection of its own, as on upstream."""

    @pytest.fixture
    def begun(self, transactional_db: None) -> Iterator[None]:
        """Begin as `django_db` alone does; committed data is removed after the test."""
        try:
            with begun_by_hand():
                yield
        finally:
            in_the_other_thread(connections.close_all)

    async def test_callbacks_run(self, begun: None) -> None:
        assert await ask(Commits, "on_commit") == f"{ON_COMMIT} x"
        assert of_another_connection() == ["x"]

    @each_way
    async def test_its_data_is_committed(self, begun: None, way: str) -> None:
        assert await WAYS[way]("ben") == "ben"
        assert of_another_connection() == ["ben"]
        assert await Group.objects.acount() == 1

    async def test_data_that_the_test_wrote_asynchronously_is_seen(self, begun: None) -> None:
        await Group.objects.acreate(name="anna")
        assert await ask(Commits, "failing") == "anna x"
        assert of_another_connection() == ["anna", "x"]

    async def test_a_session_that_it_saved_is_read_by_the_test(self, begun: None) -> None:
        class Saving(WebsocketConsumer):
            def receive(self, text_data: str | None = None, bytes_data: Any = None) -> None:
                session = SessionStore()
                session["seen"] = text_data
                session.save()
                self.send(str(session.session_key))

        async with WebsocketCommunicator(Saving, "/") as socket:
            await socket.send_to("hello")
            key = await socket.receive_from(SECONDS)
            assert await SessionStore(str(key)).aget("seen") == "hello"


def commit_in_a_view(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(" ".join(getattr(Commits(), name)()))


urlpatterns.append(path("commits/<name>/", commit_in_a_view))


class TestViewsInATestCase(TestCase):
    """Django's handler runs views in a thread of its own, with connections of its own."""

    async def view(self, name: str) -> str:
        return await by_view("commits")(name)

    async def test_they_are_in_no_transaction(self) -> None:
        await Group.objects.acreate(name="anna")
        assert await self.view("on_commit") == f"{ON_COMMIT} anna x"
        assert await self.view("failing") == "anna x"
        assert await self.view("state") == "False True True"

    async def test_nothing_of_it_is_committed(self) -> None:
        assert await Group.objects.acount() == 0

    def test_a_consumer_works_in_the_begun_by_hand(self) -> None:
        Group.objects.create(name="anna")
        with self.captureOnCommitCallbacks() as callbacks:
            answer = async_to_sync(ask)(Commits, "on_commit")
        assert answer == "within anna x"
        assert len(callbacks) == 2


async def twice(scope: Any, receive: Any, send: Any) -> None:
    """Use the database twice, as Django's handler does."""
    async with ThreadSensitiveContext():
        for _ in range(2):
            message = await receive()
            await send({"type": "said", "names": await sync_to_async(note)(message["name"])})


@pytest.mark.django_db(transaction=True)
class TestViewsUnderAsyncToSync:
    def test_a_view_has_its_own_connection(self) -> None:
        with begun_by_hand():
            assert async_to_sync(by_view("commits"))("on_commit") == f"{ON_COMMIT} x"
            assert of_another_connection() == ["x"]

    def test_the_test_writes_something_meanwhile(self) -> None:
        async def drive() -> None:
            async with ApplicationCommunicator(twice, {"type": "test"}) as application:
                await application.send_input({"name": "ben"})
                assert (await application.receive_output(SECONDS))["names"] == "ben"
                await Group.objects.acreate(name="anna")
                await application.send_input({"name": "carl"})
                assert (await application.receive_output(SECONDS))["names"] == "anna ben carl"

        with begun_by_hand():
            async_to_sync(drive)()
        assert names() == ["ben"]

    def test_a_task_that_outlives_the_handler_that_started_it(self) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            tasks: list[asyncio.Task[None]] = []
            left = asyncio.Event()

            async def later() -> None:
                await left.wait()
                await send({"type": "said", "names": await sync_to_async(note)("late")})

            async def start() -> None:
                tasks.append(asyncio.create_task(later()))

            await sync_to_async(async_to_sync(start))()
            left.set()
            await tasks[0]

        async def drive() -> str:
            async with ApplicationCommunicator(application, {"type": "test"}) as communicator:
                return str((await communicator.receive_output(SECONDS))["names"])

        assert async_to_sync(drive)() == "late"


@pytest.mark.django_db(transaction=True)
class TestWithoutATransaction:
    """`pytest.mark.django_db(transaction=True)`: every connection sees the data."""

    @each_way
    async def test_data_of_a_fixture_is_seen(
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

        with monkeypatch.context() as patch, connections_module.lent_connections():
            patch.setattr(connections, "all", unconfigured)
            with connections_module.lent_connections():
                pass

    def test_a_program_without_settings(self) -> None:
        program = """
import asyncio
from asgiref.sync import async_to_sync
from channels_testing._application.connections import lent_connections
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
    # Django never closes a connection to a database in memory, and so those of the threads that its
    # handler made are left. Python 3.13 reports them.
    options += ["-W", "ignore:unclosed database:ResourceWarning"]
    output = run({"CHANNELS_TEST_DATABASE": "memory"}, "-m", "pytest", *options, __file__)
    assert "1 skipped" in output
