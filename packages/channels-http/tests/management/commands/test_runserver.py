"""The command with a server that only notes what it is given, and with the real one."""

import importlib.metadata
import logging
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import urlopen

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.core.management.commands import runserver as djangos
from django.db import connections
from django.test import override_settings
from django.utils import autoreload

import channels_http
from channels_core.routing import ProtocolTypeRouter
from channels_http._runserver.wsgi import WsgiOnlyCommand
from channels_http.management.commands import runserver
from channels_http.staticfiles import StaticFilesWrapper
from project import FILES, Project


def is_first_daphne() -> bool:
    """Return whether Daphne is the oldest version that works."""
    try:
        return importlib.metadata.version("daphne") == "4.2.2"
    except PackageNotFoundError:
        return False


needs_sizes = pytest.mark.skipif(is_first_daphne(), reason="Daphne 4.2.2 has no limits of sizes")


class FakeServer:
    """Stands in for Daphne's, and is up at once."""

    made: "FakeServer"
    abort_start = False
    listening_addresses: Any = (("127.0.0.1", 40123),)

    def __init__(self, *, ready_callable: Any, **arguments: Any) -> None:
        type(self).made = self
        self.arguments = arguments
        self.ready = ready_callable

    def run(self) -> None:
        self.ready()


class Interrupted(FakeServer):
    def run(self) -> None:
        raise KeyboardInterrupt


class Unable(FakeServer):
    abort_start = True

    def run(self) -> None:
        """Return at once, as it does when its port is taken."""


def command(server: type = FakeServer) -> Any:
    made: Any = runserver.Command()
    made.server_cls = server
    return made


def start(*arguments: str, server: type = FakeServer, checks: bool = True, **options: Any) -> str:
    out = StringIO()
    made = command(server)
    made.stdout._out = out
    arguments = ("--noreload", "--no-color", *arguments)
    call_command(made, *arguments, skip_checks=not checks, **options)
    return out.getvalue()


@pytest.mark.daphne
class TestStart:
    def test_it_is_daphnes(self) -> None:
        from daphne.management.commands.runserver import Command
        from daphne.server import Server

        assert issubclass(runserver.Command, Command)
        assert issubclass(runserver.Command.server_cls, Server)
        assert runserver.Command.protocol == "http"

    def test_it_says_what_it_serves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        channels = ModuleType("channels")
        vars(channels)["__version__"] = "5.1.2"
        monkeypatch.setitem(sys.modules, "channels", channels)
        out = start("0")
        assert "Performing system checks..." in out
        assert re.search(
            r"^\w+ \d\d, \d{4} - \S+.*\n"
            r"Django version [\w.]+, using settings 'settings'\n"
            r"Starting ASGI/Channels version 5\.1\.2 development server at "
            r"http://127\.0\.0\.1:40123/\n"
            r"Quit the server with CONTROL-C\.\n",
            out,
            re.MULTILINE,
        )

    # None: it cannot be imported. The other one is a program's own, of that name.
    @pytest.mark.parametrize("channels", [None, ModuleType("channels")])
    def test_without_the_whole_of_channels_its_own_version(
        self, channels: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "channels", channels)
        monkeypatch.setattr(sys, "platform", "win32")
        out = start("8123")
        assert f"Starting ASGI/Channels version {channels_http.__version__} development" in out
        assert "Quit the server with CTRL-BREAK." in out

    def test_it_needs_no_metadata(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A frozen program, or a slimmed image, has none."""

        def missing(name: str) -> Any:
            raise PackageNotFoundError(name)

        for name in ("version", "distribution"):
            monkeypatch.setattr(importlib.metadata, name, missing)
        assert re.search(r"Starting ASGI/Channels version \d+\.\d+\.\d+ development", start("0"))

    @pytest.mark.parametrize(
        ("address", "shown", "endpoint"),
        [
            ("8123", "127.0.0.1:8123", "tcp:port=8123:interface=127.0.0.1"),
            ("0:8123", "0.0.0.0:8123", "tcp:port=8123:interface=0"),
            ("[::1]:8123", "[::1]:8123", r"tcp:port=8123:interface=\:\:1"),
            ("localhost:8123", "localhost:8123", "tcp:port=8123:interface=localhost"),
        ],
    )
    def test_addresses(self, address: str, shown: str, endpoint: str) -> None:
        class Silent(FakeServer):
            listening_addresses = ()

        assert f" at http://{shown}/\n" in start(address, server=Silent)
        assert Silent.made.arguments["endpoints"] == [endpoint]

    def test_checks_can_be_left_out(self) -> None:
        assert "Performing system checks" not in start("8123", checks=False)

    def test_it_does_not_start_where_a_check_fails(self) -> None:
        with (
            override_settings(STATICFILES_DIRS="no list"),
            pytest.raises(SystemCheckError, match=r"staticfiles\.E001"),
        ):
            start("8123")

    def test_it_leaves_no_connection_to_the_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        closed: list[str] = []
        connection = connections["default"]
        monkeypatch.setattr(connection, "close", lambda: closed.append("default"))
        start("8123")
        assert closed == ["default"]

    def test_an_exception_of_the_start_is_raised_where_it_is_seen(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        error = SyntaxError("in models.py")
        monkeypatch.setattr(autoreload, "_exception", (SyntaxError, error, None))
        with pytest.raises(SyntaxError, match=r"in models\.py"):
            start("8123")

    def test_an_interrupt(self) -> None:
        out = start("8123", server=Interrupted)
        assert "Starting" not in out
        ended = start("8123", server=Interrupted, shutdown_message="Good bye.")
        assert ended == f"{out}Good bye.\n"


@pytest.mark.daphne
class TestNoPort:
    def test_it_ends_with_an_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            start("8123", server=Unable)
        assert ended.value.code == 1
        assert "Error: cannot serve at 127.0.0.1:8123." in capsys.readouterr().err

    def test_the_autoreloader_ends_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        codes: list[int] = []

        def end(code: int) -> None:
            codes.append(code)
            raise SystemExit(code)

        monkeypatch.setattr(os, "_exit", end)
        monkeypatch.setattr(
            autoreload, "run_with_reloader", lambda main, **options: main(**options)
        )
        with pytest.raises(SystemExit):
            call_command(command(Unable), "8123")
        assert codes == [1]
        assert Unable.made.arguments["signal_handlers"] is False


@pytest.mark.daphne
class TestArguments:
    def test_of_the_server(self) -> None:
        start("8123", "--http_timeout=9", "--ping-interval=7", "--websocket-timeout=-1")
        arguments = FakeServer.made.arguments
        assert arguments["http_timeout"] == 9
        assert arguments["ping_interval"] == 7
        assert arguments["websocket_timeout"] == -1
        assert arguments["websocket_handshake_timeout"] == 5
        assert arguments["signal_handlers"] is True
        assert arguments["root_path"] == ""
        assert "ping_timeout" not in arguments

    def test_values_that_make_no_sense(self) -> None:
        with pytest.raises(CommandError, match="request_buffer_size has to be 1 or more; got 0"):
            start("8123", "--request-buffer-size=0")

    @needs_sizes
    def test_sizes_that_make_no_sense(self) -> None:
        with (
            override_settings(DAPHNE_WEBSOCKET_MAX_FRAME_SIZE=-1),
            pytest.raises(CommandError, match="websocket_max_frame_size has to be 0 or more"),
        ):
            start("8123")

    @needs_sizes
    def test_the_servers_sizes(self) -> None:
        with override_settings(DAPHNE_WEBSOCKET_MAX_FRAME_SIZE=2**24):
            start("8123", "--websocket-max-message-size=5000")
        arguments = FakeServer.made.arguments
        assert arguments["websocket_max_message_size"] == 5000
        assert arguments["websocket_max_frame_size"] == 2**24

    def test_the_folder_of_the_site(self) -> None:
        with override_settings(FORCE_SCRIPT_NAME="/shop"):
            start("8123")
        assert FakeServer.made.arguments["root_path"] == "/shop"

    @pytest.mark.parametrize(
        ("debug", "arguments", "is_static"),
        [
            (True, [], True),
            (True, ["--nostatic"], False),
            (False, [], False),
            (False, ["--insecure"], True),
        ],
    )
    def test_the_application(self, debug: bool, arguments: list[str], is_static: bool) -> None:
        with override_settings(DEBUG=debug):
            start("8123", *arguments)
        application = FakeServer.made.arguments["application"]
        if is_static:
            assert type(application) is StaticFilesWrapper
            application = application.application
        assert type(application) is ProtocolTypeRouter

    def test_without_static_files(self) -> None:
        with override_settings(INSTALLED_APPS=["channels_http"], DEBUG=True):
            start("8123")
        assert type(FakeServer.made.arguments["application"]) is ProtocolTypeRouter


@pytest.mark.daphne
class TestWsgi:
    @pytest.fixture(autouse=True)
    def served(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(djangos, "run", lambda *args, **kwargs: kwargs["on_bind"](args[1]))

    def test_it_can_be_asked_for(self) -> None:
        out = start("8123", "--noasgi")
        assert "development server at http://127.0.0.1:8123/" in out
        assert "ASGI/Channels" not in out
        assert "ASGI_APPLICATION" not in out

    def test_it_is_there_without_an_application(self) -> None:
        with override_settings(ASGI_APPLICATION=None):
            out = start("8123")
        assert out.startswith("ASGI_APPLICATION is not set")
        assert "development server at http://127.0.0.1:8123/" in out
        assert "ASGI/Channels" not in out


@pytest.mark.daphne
class TestLog:
    @pytest.fixture(autouse=True)
    def level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "django.channels.server")

    def test_a_request(self, caplog: pytest.LogCaptureFixture) -> None:
        details = {
            "method": "GET",
            "path": "/a/",
            "status": 404,
            "client": "127.0.0.1:5",
            "time_taken": 0.5,
        }
        made: Any = runserver.Command(force_color=True)
        made.log_action("http", "complete", details)
        [record] = caplog.records
        assert (record.name, record.levelno) == (runserver.logger.name, logging.WARNING)
        assert record.getMessage() == made.style.HTTP_NOT_FOUND(
            "HTTP GET /a/ 404 [0.50, 127.0.0.1:5]"
        )

    def test_a_websocket(self, caplog: pytest.LogCaptureFixture) -> None:
        details = {"path": "/ws/", "client": "127.0.0.1:5"}
        command().log_action("websocket", "connected", details)
        command().log_action("websocket", "no such action", details)
        assert caplog.messages == ["WebSocket CONNECT /ws/ [127.0.0.1:5]"]


class TestWithoutDaphne:
    @pytest.fixture(autouse=True)
    def gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "daphne.management.commands.runserver", None)
        monkeypatch.delitem(vars(runserver), "Command", raising=False)

    def test_it_says_what_to_install(self) -> None:
        assert issubclass(runserver.Command, WsgiOnlyCommand)
        with pytest.raises(CommandError, match=r"daphne.*pip install 'channels-http\[daphne\]'"):
            call_command(runserver.Command(), "8123")

    def test_it_is_one_class(self) -> None:
        assert runserver.Command is runserver.Command

    def test_nothing_else_is_made_up(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'Server'"):
            runserver.Server  # noqa: B018 - to name it is the point


class TestProgram:
    """A project of its own, in a process of its own."""

    @pytest.mark.daphne
    def test_it_serves_a_site_and_again_when_a_file_has_changed(self, tmp_path: Path) -> None:
        with Project(tmp_path) as project:
            address = project.wait_for(r"Starting ASGI/Channels version \S+ .* at (http://\S+)")
            assert "Watching for file changes" in project.output
            assert urlopen(f"{address}hello/").read() == b"Hello"
            assert urlopen(f"{address}static/style.css").read() == b"body {}"
            project.wait_for(r"HTTP GET /hello/ 200 \[")
            project.change("urls.py", "Hello", "Hello again")
            address = project.wait_for(r"Starting ASGI/Channels version \S+ .* at (http://\S+)")
            assert urlopen(f"{address}hello/").read() == b"Hello again"

    @pytest.mark.daphne
    def test_an_import_that_fails_can_be_mended_while_it_runs(self, tmp_path: Path) -> None:
        wrong = "from django.urls import no_such_name\n"
        with Project(tmp_path, asgi="from routing import application\n", routing=wrong) as project:
            project.wait_for("ImproperlyConfigured: Cannot import ASGI_APPLICATION module 'asgi'")
            right = "from channels_http.handlers import AsgiHandler as application\n"
            project.change("routing.py", wrong, right)
            address = project.wait_for(r"Starting ASGI/Channels version \S+ .* at (http://\S+)")
            assert urlopen(f"{address}hello/").read() == b"Hello"

    @pytest.mark.daphne
    def test_so_can_one_that_a_system_check_tells_of(self, tmp_path: Path) -> None:
        wrong, right = "no_such_name", "from channels_http.handlers import AsgiHandler\n"
        files = {
            "settings": FILES["settings.py"].replace("[", '["channels_core", ', 1),
            "asgi": "from routing import AsgiHandler as application\n",
            "routing": wrong,
        }
        with Project(tmp_path, **files) as project:
            project.wait_for(r"channels_core\.E003\) .* NameError: .* \(.*routing\.py, line 1\)")
            project.change("routing.py", wrong, right)
            address = project.wait_for(r"Starting ASGI/Channels version \S+ .* at (http://\S+)")
            assert urlopen(f"{address}hello/").read() == b"Hello"

    @pytest.mark.daphne
    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with Project(tmp_path) as first:
            address = first.wait_for(r"Starting ASGI/Channels version \S+ .* at (http://\S+)")
            port = address.rstrip("/").rpartition(":")[2]
            # In a folder of its own: to write the files again would restart the first one.
            with Project(tmp_path / "second", port) as second:
                assert second.process.wait(60) == 1
                assert f"Error: cannot serve at 127.0.0.1:{port}." in second.rest()

    def test_without_twisted_all_but_the_server_works(self, tmp_path: Path) -> None:
        Project(tmp_path)
        program = """
import os, sys
for name in ("autobahn", "daphne", "twisted"):
    sys.modules[name] = None
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
from django.core.management import CommandError, call_command
django.setup()
call_command("check")
import asgi, channels_http.handlers, channels_http.staticfiles
import channels_http.management.commands.runserver
try:
    call_command("runserver", "0")
except CommandError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "no issues" in done.stdout
        assert "'channels-http[daphne]'" in done.stdout
