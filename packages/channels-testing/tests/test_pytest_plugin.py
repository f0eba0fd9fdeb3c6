import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.contrib.auth.models import Group

from channels_core.layers import BaseChannelLayer, get_channel_layer
from channels_testing import pytest_plugin

pytest_plugins = ["pytester"]

PLUGIN = "channels_testing.pytest_plugin"
LOOPS = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
OPTIONS = ("-p", PLUGIN, *LOOPS)
FIXTURES = [
    "channel_layer",
    "channels_live_server",
    "http_communicator",
    "lent_connections",
    "websocket_communicator",
]


@pytest.fixture
def settings_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another pytest find these settings."""
    inherited = os.environ.get("PYTHONPATH", "")
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, inherited])))


class Layer(BaseChannelLayer):
    """A layer that does not need the distribution of the in-memory layer."""


class TestPlugin:
    def test_importing_it_imports_only_pytest(self) -> None:
        program = f"""
import sys
import pytest
before = set(sys.modules)
import {PLUGIN}
print(sorted(name for name in set(sys.modules) - before if not name.startswith("importlib")))
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        brought = set(eval(done.stdout))
        assert {name.partition(".")[0] for name in brought} & {"django", "asgiref"} == set()
        assert {"channels_testing", PLUGIN} <= brought

    def test_it_offers_the_same_fixtures_when_imported_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Import it again: its entry point is read before coverage is measured."""
        for name in ("channels_testing", PLUGIN):
            monkeypatch.delitem(sys.modules, name)
        fresh = import_module(PLUGIN)
        assert sorted(fresh.__all__) == FIXTURES == sorted(pytest_plugin.__all__)

    def test_pytest_starts_without_settings(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
        pytester.makepyfile(
            """
            import sys

            async def application(scope, receive, send):
                await send({"type": "websocket.accept"})

            async def test_it(websocket_communicator):
                from django.conf import settings
                assert await websocket_communicator(application, "/").connect(60) == (True, None)
                assert not settings.configured

            def test_nothing_else_is_imported():
                assert "channels_testing.http" not in sys.modules
            """
        )
        result = pytester.runpytest_subprocess(*OPTIONS)
        result.assert_outcomes(passed=2)

    def test_it_is_installed_with_the_package(self) -> None:
        [entry] = entry_points(group="pytest11", name=PLUGIN)
        assert entry.value == PLUGIN


class TestChannelLayer:
    @pytest.fixture(autouse=True)
    def memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pytest_plugin, "_MEMORY", f"{__name__}.Layer")

    def test_it_is_the_default_one(self, channel_layer: Any) -> None:
        assert type(channel_layer) is Layer
        assert get_channel_layer() is channel_layer

    @pytest.fixture
    def configured(self, settings: Any) -> None:
        settings.CHANNEL_LAYERS = {"jobs": {"BACKEND": "nowhere.Layer"}}

    def test_all_aliases_have_one(self, configured: None, channel_layer: Any) -> None:
        jobs = get_channel_layer("jobs")
        assert type(jobs) is Layer
        assert jobs is not channel_layer is get_channel_layer()

    def test_afterwards_it_is_gone(self) -> None:
        assert get_channel_layer() is None


class TestCommunicators:
    """`test_database` shows that they use the test's database."""

    made: list[Any] = []

    @pytest.fixture
    def later(self) -> Iterator[None]:
        """Check that the test's fixtures have cleaned up; they end before this one."""
        self.made.clear()
        yield
        for communicator in self.made:
            assert communicator.future.done() or communicator.future.cancelling()

    async def test_websockets(self, later: None, websocket_communicator: Any) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            await receive()
            await receive()

        for _ in range(2):
            socket = websocket_communicator(application, "/", None, ["x"], query={"a": "b"})
            assert socket.scope["query_string"] == b"a=b"
            assert await socket.connect(60) == (True, None)
            self.made.append(socket)

    async def test_http(self, later: None, http_communicator: Any) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"hello"})

        client = http_communicator(application, "GET", "/")
        assert (await client.get_response(60)).text == "hello"
        self.made.append(client)


async def count(scope: Any, receive: Any, send: Any) -> None:
    number = await Group.objects.acount()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d" % number})


@pytest.mark.live
class TestLiveServer:
    @pytest.fixture
    def site(self, settings: Any) -> None:
        settings.ASGI_APPLICATION = f"{__name__}.count"
        settings.STATIC_URL = None

    @pytest.mark.parametrize("number", [1, 2])
    def test_it_serves_what_the_test_has_created(
        self, site: None, channels_live_server: Any, number: int
    ) -> None:
        for name in range(number):
            Group.objects.create(name=str(name))
        with urlopen(channels_live_server.live_server_url, timeout=60) as response:
            assert response.read() == b"%d" % number
        assert channels_live_server.live_server_ws_url.startswith("ws://localhost:")

    def test_one_that_does_not_start(self, pytester: pytest.Pytester, settings_path: None) -> None:
        pytester.makepyfile("def test_it(channels_live_server): pass")
        result = pytester.runpytest_subprocess(*OPTIONS, "--ds", "settings")
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*ASGI_APPLICATION*"])


class TestLentConnections:
    """`test_database` shows their effect; here, the order of fixtures does not matter."""

    @pytest.mark.parametrize("database", ["db", "transactional_db"])
    def test_the_database_comes_first(
        self, pytester: pytest.Pytester, settings_path: None, database: str
    ) -> None:
        pytester.makepyfile(
            f"""
            from django.contrib.auth.models import Group
            from django.db import connection

            async def test_it(lent_connections, {database}):
                await Group.objects.acreate(name="anna")
                assert await Group.objects.acount() == 1

            def test_it_is_gone({database}):
                assert not Group.objects.exists()
                assert connection.in_atomic_block is ({database!r} == "db")
            """
        )
        result = pytester.runpytest_subprocess(*OPTIONS, "--ds", "settings", "-W", "error")
        result.assert_outcomes(passed=2)
