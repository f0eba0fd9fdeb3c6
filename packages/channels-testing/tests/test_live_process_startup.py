"""What a server's process does before it serves, run in the process of the tests."""

import faulthandler
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings

from channels_testing._live import databases, process_startup
from channels_testing._live.process_startup import (
    Launch,
    ParentState,
    set_up_and_unpickle,
    write_stacks_before,
)
from channels_testing._live.settings_transfer import pack

#: A net, for a machine under load.
SECONDS = 60


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    reader, writer = multiprocessing.Pipe(duplex=False)
    with reader, writer:
        yield reader, writer


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Protect the process of the tests, and record the calls that would change it."""
    done: list[Any] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *arguments: done.append((name, *arguments))

    for name in ("refuse_other_than", "forget_inherited", "record_names", "use_test_databases"):
        monkeypatch.setattr(databases, name, note(name))
    monkeypatch.setattr(signal, "signal", note("signal"))
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(SyncToAsync, "single_thread_executor", SyncToAsync.single_thread_executor)
    monkeypatch.setattr(process_startup, "_report_of_this_process", [])
    opened: list[Any] = []
    monkeypatch.setattr(process_startup, "_open_files", opened)
    logger = logging.getLogger("daphne.server")
    handlers = list(logger.handlers)
    wrapped: Any = settings._wrapped
    yield done
    settings._wrapped = wrapped
    logger.handlers = handlers
    for file in opened:
        file.close()


def launch(report: Connection | None, folder: Path, make: Callable[[], Any]) -> Launch:
    until = time.time() + SECONDS
    names, allowed = {"default": "for-tests"}, frozenset({"default"})
    return Launch(make, report, names, allowed, "Case", folder / "stacks", until)


DATABASES = [
    ("forget_inherited",),
    ("record_names", {"default": "for-tests"}),
    ("use_test_databases",),
]
SIGNALS = [
    ("signal", signal.SIGTERM, signal.SIG_DFL),
    ("signal", signal.SIGINT, signal.SIG_IGN),
]


class TestLaunch:
    def test_after_a_fork(self, pipe: Any, steps: list[Any], tmp_path: Path) -> None:
        executor = SyncToAsync.single_thread_executor
        assert launch(pipe[1], tmp_path, lambda: "made")() == "made"
        assert steps == [*SIGNALS, *DATABASES]
        assert SyncToAsync.single_thread_executor is not executor
        assert (tmp_path / "stacks").exists()

    def test_in_a_process_that_is_started_anew(
        self, pipe: Any, steps: list[Any], tmp_path: Path
    ) -> None:
        executor = SyncToAsync.single_thread_executor
        process_startup._report_of_this_process.append(pipe[1])
        assert launch(None, tmp_path, lambda: "made")() == "made"
        assert steps == [*SIGNALS, ("refuse_other_than", {"default"}, "Case"), *DATABASES]
        assert SyncToAsync.single_thread_executor is executor

    def test_a_failure_is_reported(self, pipe: Any, tmp_path: Path) -> None:
        reader, writer = pipe
        with pytest.raises(SystemExit):
            launch(writer, tmp_path, lambda: 1 // 0)()
        text = reader.recv()
        assert text.startswith("Traceback")
        assert "ZeroDivisionError" in text

    def test_an_address_that_daphne_cannot_use_is_reported(self, pipe: Any, tmp_path: Path) -> None:
        reader, writer = pipe
        launch(writer, tmp_path, lambda: "made")()
        logger = logging.getLogger("daphne.server")
        logger.error("not that")
        logger.critical("Listen failure: %s", "it is taken")
        assert reader.recv() == "Listen failure: it is taken"
        assert not reader.poll()
        reader.close()
        # Nobody listens once the server has started.
        logger.critical("Listen failure: %s", "it is taken")

    def test_it_ends_with_its_parent(
        self, pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader, writer = multiprocessing.Pipe(duplex=False)
        exits: list[int] = []
        ended = threading.Event()

        def note_exit(code: int) -> None:
            exits.append(code)
            ended.set()

        with reader:
            parent = SimpleNamespace(sentinel=reader)
            monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
            monkeypatch.setattr(os, "_exit", note_exit)
            launch(pipe[1], tmp_path, lambda: "made")()
            assert not ended.is_set()
            writer.close()
            assert ended.wait(SECONDS)
        assert exits == [1]


class Process:
    """Stands in for a process's object."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self) -> None:
        """Fail, so that the call is seen."""
        raise RuntimeError("it fails")


class TestSetUpAndUnpickle:
    @pytest.fixture
    def parent_state(self, pipe: Any, tmp_path: Path) -> ParentState:
        until = time.time() + SECONDS
        environment = {**os.environ, "LIVE_CHILD": "told"}
        return ParentState(pipe[1], environment, pack(), tmp_path / "stacks", until)

    @pytest.fixture(autouse=True)
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        yield
        os.environ.clear()
        os.environ.update(before)

    def test_the_process_is_unpickled(self, parent_state: ParentState) -> None:
        made = pickle.dumps(Process("one").__reduce_ex__(4)[:3])
        process = set_up_and_unpickle(parent_state, made)
        assert isinstance(process, Process)
        assert process.name == "one"
        assert os.environ["LIVE_CHILD"] == "told"
        assert process_startup._report_of_this_process == [parent_state.report]
        parent_state.report.close()
        with pytest.raises(RuntimeError, match="it fails"):
            process.run()

    def test_a_failure_is_reported(self, parent_state: ParentState, pipe: Any) -> None:
        with pytest.raises(SystemExit):
            set_up_and_unpickle(parent_state, b"nothing that was pickled")
        assert "UnpicklingError" in pipe[0].recv()


def test_the_stacks_come_before_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        faulthandler,
        "dump_traceback_later",
        lambda seconds, file: asked.append(seconds),
    )
    monkeypatch.setattr(time, "time", lambda: 100.0)
    write_stacks_before(tmp_path / "stacks", 110.0)
    write_stacks_before(tmp_path / "stacks", 90.0)
    assert asked == [9.0, 0.1]
