"""Starting and stopping, with fake processes."""

import multiprocessing
import queue
import sys
import threading
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from channels_testing._live import process as process_module
from channels_testing._live.process import LiveServerError, process_class, start, stop


class FakeProcess:
    """A process that is ready at once, unless a class below says otherwise."""

    made: "FakeProcess"
    starts_ready = True
    dies_when_asked = True

    def __init__(self, host: str, get_application: Any, **arguments: Any) -> None:
        type(self).made = self
        self.launch = get_application
        self.arguments = arguments
        self.daemon = False
        self.pid: int | None = None
        self.exitcode: int | None = None
        self.alive = False
        self.steps: list[str] = []
        self.ready = threading.Event()
        self.errors: queue.Queue[tuple[Exception, str]] = queue.Queue()

    def run(self) -> None:
        """Do nothing; the process runs already."""

    def start(self) -> None:
        self.pid, self.alive = 1, True
        if self.starts_ready:
            self.ready.set()

    def is_alive(self) -> bool:
        return self.alive

    def terminate(self) -> None:
        self.steps.append("terminated")
        self.alive = not self.dies_when_asked

    def kill(self) -> None:
        self.steps.append("killed")
        self.alive = False

    def join(self, seconds: float) -> None:
        self.steps.append("joined")


class Ended(FakeProcess):
    starts_ready = False

    def start(self) -> None:
        super().start()
        self.alive = False
        self.exitcode = 3


class Bare(Ended):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        del self.errors


class Broken(FakeProcess):
    starts_ready = False

    def run(self) -> None:
        raise RuntimeError("broken")

    def start(self) -> None:
        super().start()
        with pytest.raises(RuntimeError, match="broken"):
            self.run()


class Unable(Ended):
    def start(self) -> None:
        super().start()
        self.errors.put((ValueError(), "Traceback of the process"))


class Reporting(FakeProcess):
    starts_ready = False

    def start(self) -> None:
        super().start()
        self.launch.report.send("Traceback of the launch")


class Slow(FakeProcess):
    starts_ready = False
    dies_when_asked = False


class Stuck(Slow):
    def start(self) -> None:
        super().start()
        self.launch.stacks.write_text("Current thread: in importlib")


class Impossible(FakeProcess):
    def start(self) -> None:
        raise OSError("too many processes")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "names_in_use", lambda: {"default": "for-tests"})


def begin(make: Any, **changes: Any) -> Any:
    arguments = {
        "host": "localhost",
        "port": 0,
        "get_application": lambda: None,
        "setup": lambda: None,
        "databases": frozenset({"default"}),
        "case": "Case",
        "start_method": "fork",
        "seconds": 60,
        **changes,
    }
    return start(make, **arguments)


class TestStart:
    def test_it_is_a_daemon_of_one_that_may_be_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        current: Any = multiprocessing.current_process()
        monkeypatch.setitem(current._config, "daemon", True)
        process = begin(FakeProcess)
        assert process.daemon
        assert current._config["daemon"]
        assert process.launch.databases == {"default": "for-tests"}

    def test_a_port_is_passed_on_where_there_is_one(self) -> None:
        assert begin(FakeProcess).arguments.keys() == {"setup"}
        assert begin(FakeProcess, port=8001).arguments["port"] == 8001

    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (Ended, "its process ended with exit code 3.\n  Its output, if any, says why."),
            (Bare, "its process ended with exit code 3.\n  Its output, if any, says why."),
            (Unable, "its process ended with exit code 3.\n  Traceback of the process"),
            (Reporting, "its process failed.\n  Traceback of the launch"),
        ],
    )
    def test_a_failure_is_in_the_error(self, make: type[FakeProcess], why: str) -> None:
        with pytest.raises(LiveServerError) as error:
            begin(make)
        assert str(error.value) == f"The live server of Case did not start: {why}"
        assert make.made.steps[:2] == ["terminated", "joined"]

    def test_an_exception_of_run_is_in_the_error(self) -> None:
        with pytest.raises(LiveServerError, match="its process failed") as error:
            begin(Broken)
        assert "RuntimeError: broken" in str(error.value)

    @pytest.mark.parametrize(
        ("make", "why"),
        [(Slow, "It never began to run."), (Stuck, "Current thread: in importlib")],
    )
    def test_it_is_not_waited_for_without_end(self, make: type[FakeProcess], why: str) -> None:
        with pytest.raises(LiveServerError) as error:
            begin(make, seconds=0)
        assert (
            str(error.value) == f"The live server of Case did not start: it took too long.\n  {why}"
        )
        assert make.made.steps == ["terminated", "joined", "killed", "joined"]

    def test_a_process_that_cannot_be_started(self) -> None:
        with pytest.raises(OSError, match="too many processes"):
            begin(Impossible)
        assert Impossible.made.steps == []

    def test_an_unknown_start_method(self) -> None:
        with pytest.raises(ValueError, match="clone"):
            begin(FakeProcess, start_method="clone")

    def test_objects_that_cannot_be_pickled(self) -> None:
        class Local(multiprocessing.Process):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__()

        with pytest.raises(ImproperlyConfigured, match="cannot be pickled"):
            begin(Local, start_method="spawn")


class TestStop:
    def test_it_is_asked_to_end(self) -> None:
        process = begin(FakeProcess)
        stop(process, seconds=60)
        assert process.steps == ["terminated", "joined"]

    def test_it_is_killed_if_it_does_not_end(self) -> None:
        process = Slow("localhost", None)
        process.start()
        stop(process, seconds=60)
        assert process.steps == ["terminated", "joined", "killed", "joined"]


def test_without_daphne_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "daphne.testing", None)
    with pytest.raises(ImportError, match=r"channels-testing\[live\]"):
        process_class()


@pytest.mark.live
def test_with_it() -> None:
    assert process_class().__name__ == "DaphneProcess"
