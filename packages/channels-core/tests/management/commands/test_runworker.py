import logging
import os
import signal
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management import CommandError, call_command, find_commands
from django.core.management.base import SystemCheckError
from django.test import override_settings
from django.utils import autoreload

from channels_core import management
from channels_core.consumer import AsyncConsumer
from channels_core.exceptions import WorkerError
from channels_core.layers import channel_layers
from channels_core.management.commands.runworker import Command
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter
from channels_core.worker import Worker
from fakes import LocalLayer

SECONDS = 60


class Fake:
    """Stands in for a worker, and does not listen."""

    made: "list[Fake]" = []
    fault: Exception | None = None

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.stopped = 0
        self.made.append(self)

    def run(self) -> None:
        if self.fault is not None:
            raise self.fault

    def stop(self) -> None:
        self.stopped += 1


class Site(ModuleType):
    def __init__(self) -> None:
        super().__init__("shop_asgi")
        self.done: list[Any] = []
        site = self

        class Jobs(AsyncConsumer):
            async def job(self, message: Any) -> None:
                site.done.append(message["number"])
                signal.raise_signal(signal.SIGTERM)

        jobs = Jobs.as_asgi()
        self.application: Any = ProtocolTypeRouter(
            {"channel": ChannelNameRouter({"jobs": jobs, "mail": jobs})}
        )


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    site = Site()
    monkeypatch.setitem(sys.modules, site.__name__, site)
    with override_settings(
        ASGI_APPLICATION="shop_asgi.application",
        CHANNEL_LAYERS={"default": {"BACKEND": "fakes.LocalLayer"}},
    ):
        yield site


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setattr(Fake, "made", [])
    monkeypatch.setattr(Command, "worker_class", Fake)
    return Fake


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


async def _no_time(seconds: float) -> None:
    """Sleep for no time at all."""


def test_it_runs_until_a_signal(
    layer: LocalLayer,
    site: Site,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "django.channels.worker")
    for number in range(3):
        layer.queues["jobs"].put_nowait({"type": "job", "number": number})

    class Quick(Worker):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments, sleep=_no_time)

    monkeypatch.setattr(Command, "worker_class", Quick)
    call_command(Command(), "jobs", "mail", "jobs", "--concurrency=1")
    # The second message was being received when the signal came, or was left in the layer.
    assert site.done[:1] == [0]
    assert told(caplog) == [
        ("INFO", "Worker listens on jobs, mail (layer 'default', concurrency 1)"),
        ("INFO", "Worker stopped listening on jobs, mail (layer 'default', concurrency 1)"),
    ]


def test_a_worker_class_needs_to_take_no_more_than_it_always_did(
    fake: type[Fake], layer: LocalLayer, site: Site
) -> None:
    call_command(Command(), "mail")
    [worker] = fake.made
    assert worker.arguments == {
        "application": site.application,
        "channels": ["mail"],
        "channel_layer": layer,
    }
    numbers = [getattr(worker, name) for name in ("concurrency", "graceful_timeout", "max_outage")]
    assert numbers == [10, 30, 60]


def test_its_options(fake: type[Fake], layer: LocalLayer) -> None:
    options = ["--concurrency=3", "--graceful-timeout=2.5", "--max-outage=0"]
    call_command(Command(), "mail", *options)
    [worker] = fake.made
    numbers = [getattr(worker, name) for name in ("concurrency", "graceful_timeout", "max_outage")]
    assert numbers == [3, 2.5, 0]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--concurrency=0", "argument --concurrency: expected a number of at least 1, got '0'"),
        ("--concurrency=few", "expected a number of at least 1, got 'few'"),
        ("--graceful-timeout=-1", "expected a number of at least 0, got '-1'"),
        ("--max-outage=nan", "expected a number of at least 0, got 'nan'"),
    ],
)
def test_options_that_it_refuses(option: str, words: str, fake: type[Fake]) -> None:
    with pytest.raises(CommandError) as caught:
        call_command(Command(), "jobs", option)
    assert words in str(caught.value)
    assert not fake.made


def test_a_signal_while_it_starts_counts(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_import() -> Any:
        signal.raise_signal(signal.SIGTERM)
        return sys.modules["shop_asgi"].application

    monkeypatch.setattr(
        "channels_core.management.commands.runworker.get_default_application", slow_import
    )
    call_command(Command(), "jobs")
    [worker] = fake.made
    assert worker.stopped == 1


@override_settings(CHANNEL_LAYERS={"default": {}, "work": {"BACKEND": "fakes.Picky"}})
def test_it_listens_on_the_layer_of_an_alias(fake: type[Fake]) -> None:
    call_command(Command(), "jobs", "--layer=work")
    [worker] = fake.made
    assert type(worker.arguments["channel_layer"]).__name__ == "Picky"


class TestWhatIsMissing:
    def fail(self, *arguments: str) -> str:
        with pytest.raises(CommandError) as caught:
            call_command(Command(), *arguments)
        return str(caught.value)

    def test_the_layer(self, fake: type[Fake]) -> None:
        assert self.fail("jobs", "--layer=work") == (
            "There is no channel layer 'work' to listen to: CHANNEL_LAYERS has ['default']. Add it "
            "to that setting, with a BACKEND that several processes share, or choose another with "
            "--layer"
        )

    @override_settings(
        CHANNEL_LAYERS={"default": {"BACKEND": "fakes.Picky", "CONFIG": {"fail": True}}}
    )
    def test_a_layer_whose_constructor_fails(self, fake: type[Fake]) -> None:
        expected = "The channel layer 'default' cannot be built: KeyError: 'hosts'"
        assert expected in self.fail("jobs")

    @override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "nowhere.Layer"}})
    def test_its_backend(self, fake: type[Fake]) -> None:
        assert "Cannot import BACKEND 'nowhere.Layer'" in self.fail("jobs")

    @override_settings(ASGI_APPLICATION=None)
    def test_the_application(self, fake: type[Fake]) -> None:
        assert "Cannot find ASGI_APPLICATION setting" in self.fail("jobs")

    def test_what_to_run(self, fake: type[Fake]) -> None:
        assert "has no application for 'sms'" in self.fail("jobs", "sms")

    def test_a_name_that_the_layer_takes(self, fake: type[Fake]) -> None:
        assert "refuses the name 'a b'" in self.fail("jobs", "a b")

    def test_a_layer_that_works(self, fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Fake, "fault", WorkerError("The channel layer has failed"))
        assert self.fail("jobs") == "The channel layer has failed"


class OneProcess(LocalLayer):
    reaches_other_processes = False


class TestChecks:
    """Run the command as from a shell."""

    @staticmethod
    def run(*arguments: str, **options: Any) -> str:
        stderr = StringIO()
        call_command(Command(), *arguments, stderr=stderr, skip_checks=False, **options)
        return stderr.getvalue()

    def test_a_layer_that_other_processes_share(self, fake: type[Fake]) -> None:
        assert self.run("jobs") == ""
        assert len(fake.made) == 1

    @pytest.mark.parametrize("silenced", [[], ["channels_core.W004"]])
    def test_a_layer_within_one_process(self, fake: type[Fake], silenced: list[str]) -> None:
        layers = {
            "default": {"BACKEND": "fakes.LocalLayer"},
            "near": {"BACKEND": f"{__name__}.OneProcess"},
        }
        with override_settings(CHANNEL_LAYERS=layers, SILENCED_SYSTEM_CHECKS=silenced):
            channel_layers.set("near", OneProcess())
            told = self.run("jobs", "--layer=near", no_color=True)
        if silenced:
            assert told == ""
        else:
            assert told.startswith("?: (channels_core.W004) The channel layer 'near' (")
            assert "works within one process, so this worker gets no message" in told
        assert len(fake.made) == 1

    def test_others_run_as_well(self, fake: type[Fake]) -> None:
        with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "nowhere.Layer"}}):
            with pytest.raises(SystemCheckError, match=r"channels_core\.E002"):
                self.run("jobs")
            with pytest.raises(CommandError, match="Cannot import BACKEND"):
                call_command(Command(), "jobs", "--skip-checks")
        assert not fake.made

    def test_it_is_called_without_options_too(self, fake: type[Fake]) -> None:
        options = {"channels": ["jobs"], "layer": "default", "concurrency": 1}
        times = {"graceful_timeout": 1, "max_outage": 1}
        Command().handle(**options, **times, autoreload=False)
        assert len(fake.made) == 1


class TestAutoreload:
    @pytest.fixture
    def reloads(self, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
        threads: list[threading.Thread] = []

        def run_with_reloader(function: Any, **options: Any) -> None:
            # As Django's autoreloader, which keeps the main thread for itself.
            thread = threading.Thread(target=function, kwargs=options)
            threads.append(thread)
            thread.start()
            thread.join(SECONDS)

        monkeypatch.setattr(autoreload, "run_with_reloader", run_with_reloader)
        return threads

    def test_the_worker_runs_below_it(
        self, fake: type[Fake], reloads: list[threading.Thread]
    ) -> None:
        call_command(Command(), "jobs", "--autoreload")
        assert (len(fake.made), len(reloads)) == (1, 1)

    def test_a_mistake_waits_for_the_next_change(
        self, fake: type[Fake], reloads: list[threading.Thread]
    ) -> None:
        stderr = StringIO()
        call_command(Command(), "sms", "--autoreload", stderr=stderr)
        assert "has no application for 'sms'" in stderr.getvalue()
        assert not fake.made

    @override_settings(ASGI_APPLICATION="nowhere.application")
    def test_so_does_one_that_a_check_finds(
        self, fake: type[Fake], reloads: list[threading.Thread]
    ) -> None:
        stderr = StringIO()
        call_command(Command(), "jobs", "--autoreload", stderr=stderr, skip_checks=False)
        assert "(channels_core.E003) ASGI_APPLICATION 'nowhere.appl" in stderr.getvalue()
        assert len(reloads) == 1
        assert not fake.made


PROJECT = """
import os
import sys
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    DEBUG=False,
    INSTALLED_APPS=["channels_core"],
    ASGI_APPLICATION="site_asgi.application",
    CHANNEL_LAYERS={"default": {"BACKEND": "manage.Layer"}},
)

from channels_core.layers import BaseChannelLayer
from channels_core.routing import ChannelNameRouter, ProtocolTypeRouter


class Layer(BaseChannelLayer):
    async def receive(self, channel):
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        return {"type": "job"}


async def jobs(scope, receive, send):
    await receive()
    raise LookupError("broken")


application = ProtocolTypeRouter({"channel": ChannelNameRouter({"jobs": jobs})})

if __name__ == "__main__":
    sys.modules["manage"] = sys.modules["__main__"]
    execute_from_command_line(sys.argv)
"""
# As every project has it; it sets up Django once more, with its logging.
SITE_ASGI = """
from django.core.asgi import get_asgi_application

get_asgi_application()
from manage import application
"""


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGTERM, []), (signal.SIGINT, ["--skip-checks"])]
)
def test_an_operator_sees_its_start_its_failures_and_its_stop(
    number: signal.Signals, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "manage.py").write_text(PROJECT)
    (tmp_path / "site_asgi.py").write_text(SITE_ASGI)
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "runworker", "jobs", *options],
        cwd=tmp_path,
        env={**os.environ, "SIGNAL": str(int(number)), "DJANGO_SETTINGS_MODULE": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    lines = [line.partition("] ")[2] for line in done.stderr.splitlines() if line.startswith("[")]
    assert lines == [
        "INFO Worker listens on jobs (layer 'default', concurrency 10)",
        "ERROR The application failed for a message of type 'job' from channel 'jobs'",
        "INFO Worker stopped listening on jobs (layer 'default', concurrency 10)",
    ]


def test_the_application_brings_it() -> None:
    assert find_commands(str(Path(management.__file__).parent)) == ["runworker"]
