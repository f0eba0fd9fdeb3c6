"""The test case with Daphne, and real sockets."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.test import TransactionTestCase, override_settings
from pytest_django.plugin import DjangoDbBlocker

import live_site
from channels_testing import live
from channels_testing.live import ChannelsLiveServerTestCase, make_application
from live_site import Socket, ask, execute, failure, live_case, passes, process_ended, refused

WAYS: dict[str, dict[str, Any]] = {
    "fork": {"start_method": "fork"},
    "forkserver": {"start_method": "forkserver"},
    "spawn": {"start_method": "spawn"},
    "thread": {"serve_in_thread": True},
}
PROCESSES = {name: way for name, way in WAYS.items() if name != "thread"}

each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
each_process = pytest.mark.parametrize("way", PROCESSES.values(), ids=PROCESSES)

IN_MEMORY = "file:memorydb_default?mode=memory&cache=shared"

# Programs that run a test class of their own.
START = """
import multiprocessing, os, sys
sys.path[:0] = {path!r}
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
if __name__ == "__main__":
    import django
    django.setup()
    import live_site
    from django.db import connections
    def test(case):
        {test}
    case = live_site.live_case(test=test, **{way!r})
    with live_site.databases(default={database!r}):
        {run}
"""
WAITING = {
    "test": "print(case.live_server_url, flush=True); sys.stdin.read()",
    "run": "live_site.run(case)",
}
PARALLEL = {
    "test": "print(os.path.basename(live_site.ask(case, 'database', alias='default')))",
    "run": """
        def work():
            options = connections["default"].settings_dict
            options.update(NAME=options["NAME"] + "_1")
            print(live_site.run(case).errors, flush=True)
        worker = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        worker.start()
        worker.join()
""",
}


def program(folder: Path, parts: dict[str, str], way: dict[str, Any]) -> list[str]:
    """Return the command that runs a program with a test class that is served in this way."""
    file = folder / "program.py"
    database = str(folder / "default")
    file.write_text(START.format(path=sys.path, way=way, database=database, **parts))
    return [sys.executable, str(file)]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    paths = {"default": tmp_path / "first", "other": tmp_path / "other"}
    with django_db_blocker.unblock(), live_site.databases(**paths):
        yield


@pytest.fixture
def in_memory(files: None) -> Iterator[None]:
    with live_site.databases(default=IN_MEMORY):
        yield


@pytest.mark.live
@each_way
class TestInEachWay:
    def test_requests_and_websockets(self, way: dict[str, Any]) -> None:
        def test(case: ChannelsLiveServerTestCase) -> None:
            execute("INSERT INTO note VALUES ('from the test')")
            assert ask(case, "sql", statement="SELECT text FROM note") == [["from the test"]]
            with Socket(f"{case.live_server_ws_url}/any/") as client:
                client.send("hello")
                assert client.receive() == "hello"
            assert (ask(case, "pid") == os.getpid()) == case.serve_in_thread
            assert case.live_server_url == f"http://localhost:{case._port}"

        passes(live_case(test=test, **way))

    def test_every_database(self, way: dict[str, Any]) -> None:
        def test(case: Any) -> None:
            for alias in ("default", "other"):
                name = connections[alias].settings_dict["NAME"]
                assert ask(case, "database", alias=alias) == name
                insert = f"INSERT INTO note VALUES ('in {alias}')"
                assert ask(case, "sql", statement=insert, alias=alias) == []
                assert execute("SELECT text FROM note", alias) == [(f"in {alias}",)]

        passes(live_case(test=test, databases="__all__", **way))

    def test_a_database_that_the_class_does_not_name(self, way: dict[str, Any]) -> None:
        def test(case: Any) -> None:
            answer = ask(case, "sql", statement="SELECT 1", alias="other")
            assert "Add 'other' to" in answer or "add 'other' to Case.databases" in answer
            assert ask(case, "sql", statement="SELECT 1") == [[1]]

        passes(live_case(test=test, **way))

    def test_settings(self, way: dict[str, Any]) -> None:
        layers = {"default": {"BACKEND": "live_site.Layer", "CONFIG": {"capacity": 7}}}

        def test(case: Any) -> None:
            assert ask(case, "setting", name="CHANNEL_LAYERS") == layers
            assert ask(case, "setting", name="ROOT_URLCONF") == "live_site"
            assert ask(case, "setting", name="USE_TZ") == "it is not set"
            assert ask(case, "setting", name="ALLOWED_HOSTS")[-1] == "localhost"
            assert ask(case, "layer") == 7

        case = override_settings(CHANNEL_LAYERS=layers, ROOT_URLCONF="live_site")(
            live_case(test=test, **way)
        )
        with override_settings():
            del settings.USE_TZ
            passes(case)
        assert "localhost" not in settings.ALLOWED_HOSTS

    def test_the_environment(self, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LIVE_TEST", "as it is now")

        def test(case: Any) -> None:
            assert ask(case, "environment", name="LIVE_TEST") == "as it is now"

        passes(live_case(test=test, **way))

    def test_static_files(self, way: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "style.css").write_text("body { color: teal }")

        def test(case: Any) -> None:
            with urlopen(f"{case.live_server_url}/static/style.css") as answer:
                served = answer.read()
            # Without the wrapper the application gets a path that it does not know.
            assert (served == b"body { color: teal }") == case.serve_static

        files = override_settings(STATIC_URL="/static/", STATICFILES_DIRS=[tmp_path])
        passes(
            files(live_case(test=test, **way)),
            files(live_case(test=test, serve_static=False, **way)),
        )

    def test_nothing_is_left(self, way: dict[str, Any]) -> None:
        seen = []

        def test(case: Any) -> None:
            held = Socket(f"{case.live_server_ws_url}/any/")
            seen.append((case.live_server_url, ask(case, "pid"), held))

        case = live_case(test=test, **way)
        passes(case, live_case(test=test, **way))
        for url, pid, held in seen:
            assert refused(url)
            assert process_ended(pid) == (pid != os.getpid())
            with held:
                held.rest()
        assert len({pid for _, pid, _ in seen}) == (1 if case.serve_in_thread else 2)
        with pytest.raises(RuntimeError, match="Case does not run"):
            case.live_server_url  # noqa: B018 - a property that raises

    def test_nothing_is_left_when_the_class_fails_after_it(self, way: dict[str, Any]) -> None:
        seen = []

        class Failing(live_case(**way)):  # type: ignore[misc] # made by a function
            @classmethod
            def setUpClass(cls) -> None:
                super().setUpClass()
                seen.append((cls.live_server_url, ask(cls, "pid")))
                raise RuntimeError("no browser here")

        assert "no browser here" in failure(Failing)
        ((url, pid),) = seen
        assert refused(url)
        assert process_ended(pid) == (pid != os.getpid())

    def test_a_port_of_the_class(self, way: dict[str, Any]) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            port = other.getsockname()[1]
            other.listen()
            text = failure(live_case(port=port, **way))
        assert "LiveServerError" in text
        assert "Address already in use" in text

        def test(case: Any) -> None:
            assert case.live_server_url == f"http://localhost:{port}"
            assert ask(case, "pid")

        passes(live_case(test=test, port=port, **way))

    def test_an_application_that_cannot_be_imported(self, way: dict[str, Any]) -> None:
        text = failure(live_case("live_failing.application", **way))
        assert "live_failing.py" in text
        assert "RuntimeError: the site is not ready" in text


@pytest.mark.live
@each_process
class TestInAProcess:
    def test_a_process_class_of_the_program(self, way: dict[str, Any]) -> None:
        def test(case: Any) -> None:
            assert ask(case, "environment", name="LIVE_OWN") == "own"

        passes(live_case(test=test, ProtocolServerProcess=live_site.Own, **way))

    def test_a_process_class_of_the_program_that_fails(
        self, way: dict[str, Any], capfd: pytest.CaptureFixture[str]
    ) -> None:
        text = failure(live_case(ProtocolServerProcess=live_site.Broken, **way))
        assert "live_site.py" in text
        assert "RuntimeError: broken in the process" in text

    def test_a_database_in_memory_is_refused(self, in_memory: None, way: dict[str, Any]) -> None:
        text = failure(live_case(**way))
        assert 'Set DATABASES["default"]["TEST"]["NAME"] to the path of a file' in text
        assert "serve_in_thread = True" in text

    def test_the_start_method_is_set_for_this_alone(self, way: dict[str, Any]) -> None:
        before = multiprocessing.get_start_method(allow_none=True)
        passes(live_case(**way))
        assert multiprocessing.get_start_method(allow_none=True) == before

    def test_tests_that_run_in_parallel(self, way: dict[str, Any], tmp_path: Path) -> None:
        """Django runs them in daemons, and changes the names of their databases in place."""
        done = subprocess.run(
            program(tmp_path, PARALLEL, way), capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines() == ["default_1", "[]"], done.stderr


@pytest.mark.live
class TestProcesses:
    def test_the_way_that_is_set(self) -> None:
        def test(case: Any) -> None:
            assert ask(case, "pid") != os.getpid()
            assert ask(case, "fork_a_child") == 5

        passes(live_case(test=test))

    @pytest.mark.parametrize("way", [PROCESSES["spawn"], PROCESSES["forkserver"]])
    def test_a_setting_that_cannot_be_pickled(self, way: dict[str, Any]) -> None:
        case = override_settings(GREETING=lambda: "hello")(live_case(**way))
        text = failure(case)
        assert "the setting GREETING cannot be passed to it" in text
        assert 'set start_method = "fork"' in text
        passes(override_settings(GREETING=lambda: "hello")(live_case(start_method="fork")))

    def test_a_wrapper_that_cannot_be_pickled(self) -> None:
        def wrap(application: Any) -> Any:
            return application

        case = override_settings(STATIC_URL="/static/")(
            live_case(static_wrapper=staticmethod(wrap), start_method="spawn")
        )
        assert "(ProtocolServerProcess, static_wrapper) cannot be pickled" in failure(case)

    def test_a_start_that_does_not_end(self) -> None:
        started = multiprocessing.active_children()
        text = failure(
            live_case("live_hanging.application", startup_timeout=5, start_method="fork")
        )
        assert "it took too long" in text
        assert "live_hanging.py" in text
        assert multiprocessing.active_children() == started

    def test_a_process_that_does_not_end_when_asked(self) -> None:
        seen = []

        def test(case: Any) -> None:
            seen.append((ask(case, "pid"), case.live_server_url))

        passes(live_case("live_stubborn.application", test=test, shutdown_timeout=0.1))
        ((pid, url),) = seen
        assert process_ended(pid)
        assert refused(url)

    def test_an_unknown_start_method(self) -> None:
        assert "cannot find context for 'clone'" in failure(live_case(start_method="clone"))


@pytest.mark.live
@each_process
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_tests(way: dict[str, Any], number: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        program(tmp_path, WAITING, way),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert not refused(url)
        # Ctrl-C reaches the whole process group, a kill that process only.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        # Both end when every process that has inherited them has ended.
        process.communicate()
    assert refused(url)


@pytest.mark.live
class TestInAThread:
    def test_a_database_in_memory(self, in_memory: None) -> None:
        def test(case: Any) -> None:
            execute("INSERT INTO note VALUES ('from the test')")
            assert ask(case, "sql", statement="SELECT text FROM note") == [["from the test"]]
            ask(case, "sql", statement="INSERT INTO note VALUES ('from the site')")
            assert len(execute("SELECT * FROM note")) == 2

        def again(case: Any) -> None:
            assert ask(case, "sql", statement="DELETE FROM note") == []

        passes(
            live_case(test=test, serve_in_thread=True),
            live_case(test=again, serve_in_thread=True),
        )
        assert execute("SELECT * FROM note") == []

    def test_a_write_waits_for_another_ones_transaction(self, in_memory: None) -> None:
        def test(case: Any) -> None:
            answers = []

            def write() -> None:
                with Socket(f"{case.live_server_ws_url}/any/"):
                    insert = "INSERT INTO note VALUES ('from the site')"
                    answers.append(ask(case, "sql", statement=insert))

            thread = threading.Thread(target=write)
            with transaction.atomic():
                execute("INSERT INTO note VALUES ('from the test')")
                # A read does not wait.
                assert len(ask(case, "sql", statement="SELECT * FROM note")) == 1
                live_site.refusals.clear()
                thread.start()
                assert live_site.refusals.wait(live_site.SECONDS)
            thread.join()
            assert answers == [[]]
            assert len(execute("SELECT * FROM note")) == 2

        passes(live_case(test=test, serve_in_thread=True))

    def test_settings_of_a_single_test(self) -> None:
        def test(case: Any) -> None:
            with case.settings(GREETING="hello"):
                assert ask(case, "setting", name="GREETING") == "hello"

        passes(live_case(test=test, serve_in_thread=True))

    def test_an_application_that_does_not_end(self) -> None:
        def test(case: Any) -> None:
            with Socket(f"{case.live_server_ws_url}/stay/") as client:
                client.send("hello")
                assert client.receive() == "hello"

        passes(live_case(test=test, serve_in_thread=True, shutdown_timeout=0.1))
        assert live_site.ends == ["cancelled"]

    def test_an_application_that_ignores_its_cancellation(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live_site, "released", threading.Event())
        seen = []

        def test(case: Any) -> None:
            seen.append(case.live_server_url)
            with Socket(f"{case.live_server_ws_url}/ignore/"):
                pass

        result = live_site.run(live_case(test=test, serve_in_thread=True, shutdown_timeout=0.1))
        live_site.released.set()
        ((_, text),) = result.errors
        assert "LiveServerError: The live server did not end in 0.1 seconds" in text
        assert "goes on although it has been cancelled, and waits at" in text
        assert "in _echo" in text
        assert refused(seen[0])

    def test_a_process_class_is_refused_with_a_thread(self) -> None:
        text = failure(live_case(ProtocolServerProcess=live_site.Own, serve_in_thread=True))
        assert "ImproperlyConfigured: Case has both a ProtocolServerProcess and serve" in text

    def test_an_address_of_ipv6(self) -> None:
        def test(case: Any) -> None:
            assert case.live_server_url == f"http://[::1]:{case._port}"
            assert ask(case, "setting", name="ALLOWED_HOSTS")[-1] == "[::1]"

        passes(live_case(test=test, serve_in_thread=True, host="::1"))


class TestWithoutDaphne:
    @pytest.mark.parametrize("way", [{}, WAYS["thread"]], ids=["process", "thread"])
    def test_it_names_the_extra(self, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "daphne.testing", None)
        assert "install channels-testing[live]" in failure(live_case(**way))

    def test_the_class_is_as_it_is_known(self) -> None:
        assert ChannelsLiveServerTestCase.host == "localhost"
        assert ChannelsLiveServerTestCase.serve_static is True
        assert ChannelsLiveServerTestCase.static_wrapper is ASGIStaticFilesHandler
        assert issubclass(ChannelsLiveServerTestCase, TransactionTestCase)


class TestDaphneProcess:
    def test_it_is_there_under_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = SimpleNamespace(DaphneProcess=object())
        monkeypatch.setitem(sys.modules, "daphne.testing", known)
        assert live.DaphneProcess is known.DaphneProcess
        assert ChannelsLiveServerTestCase.DaphneProcess is known.DaphneProcess

    def test_nothing_else_is(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'HypercornProcess'"):
            _ = live.HypercornProcess


class TestMakeApplication:
    @override_settings(ASGI_APPLICATION="live_site.application")
    def test_the_sites(self) -> None:
        assert make_application(static_wrapper=None) is live_site.application
        wrapped: Any = make_application(static_wrapper=lambda one: [one])
        assert wrapped == [live_site.application]

    def test_the_setting_is_missing(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="ASGI_APPLICATION"):
            make_application(static_wrapper=None)


def test_the_databases_of_another_process() -> None:
    connections["default"].settings_dict["TEST"]["NAME"] = "for_tests"
    before = connections["other"].settings_dict["NAME"]
    live.set_database_connection()
    assert connections["default"].settings_dict["NAME"] == "for_tests"
    assert connections["other"].settings_dict["NAME"] == before
