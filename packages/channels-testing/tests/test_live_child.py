"""What a server's process does first; here in the process of the tests."""

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

from channels_testing._live import databases as _live_databases
from channels_testing._live import process_startup as _live_child
from channels_testing._live.process_startup import Launch, Prepared, revive, tell_stacks
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
    """Keep the process of the tests as it is, and tell what would have been done."""
    done: list[Any] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *arguments: done.append((name, *arguments))

    for name in ("only", "forget_inherited", "tell", "use"):
        monkeypatch.setattr(_live_databases, name, note(name))
    monkeypatch.setattr(signal, "signal", note("signal"))
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(SyncToAsync, "single_thread_executor", SyncToAsync.single_thread_executor)
    monkeypatch.setattr(_live_child, "_report", [])
    opened: list[Any] = []
    monkeypatch.setattr(_live_child, "_open", opened)
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


DATABASES = [("forget_inherited",), ("tell", {"default": "for-tests"}), ("use",)]
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

    def test_in_a_process_that_was_prepared(
        self, pipe: Any, steps: list[Any], tmp_path: Path
    ) -> None:
        executor = SyncToAsync.single_thread_executor
        _live_child._report.append(pipe[1])
        assert launch(None, tmp_path, lambda: "made")() == "made"
        assert steps == [*SIGNALS, ("only", {"default"}, "Case"), *DATABASES]
        assert SyncToAsync.single_thread_executor is executor

    def test_a_failure_is_reported(self, pipe: Any, tmp_path: Path) -> None:
        reader, writer = pipe
        with pytest.raises(SystemExit):
            launch(writer, tmp_path, lambda: 1 // 0)()
        text = reader.recv()
        assert text.startswith("Traceback")
        assert "ZeroDivisionError" in text

    def test_what_daphne_cannot_do_is_reported(self, pipe: Any, tmp_path: Path) -> None:
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
        """Fail, as nothing else can be seen of it here."""
        raise RuntimeError("it fails")


class TestRevive:
    @pytest.fixture
    def prepared(self, pipe: Any, tmp_path: Path) -> Prepared:
        until = time.time() + SECONDS
        environment = {**os.environ, "LIVE_CHILD": "told"}
        return Prepared(pipe[1], environment, pack(), tmp_path / "stacks", until)

    @pytest.fixture(autouse=True)
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        yield
        os.environ.clear()
        os.environ.update(before)

    def test_it_is_what_it_was(self, prepared: Prepared) -> None:
        made = pickle.dumps(Process("one").__reduce_ex__(4)[:3])
        process = revive(prepared, made)
        assert isinstance(process, Process)
        assert process.name == "one"
        assert os.environ["LIVE_CHILD"] == "told"
        assert _live_child._report == [prepared.report]
        prepared.report.close()
        with pytest.raises(RuntimeError, match="it fails"):
            process.run()

    def test_a_failure_is_reported(self, prepared: Prepared, pipe: Any) -> None:
        with pytest.raises(SystemExit):
            revive(prepared, b"nothing that was pickled")
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
    tell_stacks(tmp_path / "stacks", 110.0)
    tell_stacks(tmp_path / "stacks", 90.0)
    assert asked == [9.0, 0.1]
