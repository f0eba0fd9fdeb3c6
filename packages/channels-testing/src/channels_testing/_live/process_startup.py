"""What the process of a live server does before it serves."""

import faulthandler
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from asgiref.sync import SyncToAsync

from channels_testing._live import databases as _live_databases
from channels_testing._live.settings_transfer import PackedSettings, restore

__all__ = ["Launch", "Prepared", "revive", "tell_failure"]


@dataclass(frozen=True)
class Launch:
    """Make the application, in the process that is to serve it; the `get_application` of Daphne.

    Attributes:
        get_application: Makes the application.
        report: Takes to the parent why the process ends, as text. None where the process has
            been told before, since it does not have the memory of its parent.
        databases: The names of the databases by alias.
        allowed: The aliases that the test class may use.
        case: The name of the test class.
        stacks: The file for what the threads do when the parent no longer waits for the start.
        deadline: That time, in seconds since the epoch.
    """

    get_application: Callable[[], Any]
    report: Connection | None
    databases: dict[str, str]
    allowed: frozenset[str]
    case: str
    stacks: Path
    deadline: float

    def __call__(self) -> Any:
        """Return the application, or report and exit."""
        report = self.report or _report[0]
        with _reporting(report):
            _leave_with_parent()
            if self.report:
                tell_stacks(self.stacks, self.deadline)
                # It stands for a thread of the parent, which is not here.
                SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
            else:
                _live_databases.only(self.allowed, self.case)
            _live_databases.forget_inherited()
            _live_databases.tell(self.databases)
            _live_databases.use()
            logging.getLogger("daphne.server").addHandler(_Reporter(report))
            return self.get_application()


# That of this process, if it was prepared.
_report: list[Connection] = []


@dataclass(frozen=True)
class Prepared:
    """What a process that starts without its parent's memory is told first of all."""

    report: Connection
    environment: dict[str, str]
    settings: PackedSettings
    stacks: Path
    deadline: float


def revive(prepared: Prepared, process: bytes) -> Any:
    """Set Django up, and only then load the process's object, whose class may need that.

    Args:
        prepared: The parent's settings and environment.
        process: What the process's object is made of, pickled.
    """
    _report.insert(0, prepared.report)
    with _reporting(prepared.report):
        tell_stacks(prepared.stacks, prepared.deadline)
        # A fork server has those of the time when it was started.
        os.environ.clear()
        os.environ.update(prepared.environment)
        restore(prepared.settings)
        function, arguments, state = pickle.loads(process)  # noqa: S301 - the parent process made it
        made = function(*arguments)
        vars(made).update(state)
        made.run = tell_failure(made.run, prepared.report)
        return made


def tell_failure(run: Callable[[], object], report: Connection) -> Callable[[], None]:
    """Return the `run` of a process that reports what it raises besides raising it."""

    def run_and_tell() -> None:
        try:
            run()
        except Exception:
            with suppress(OSError):  # The parent hears nothing more after the start.
                report.send(traceback.format_exc())
            raise

    return run_and_tell


@contextmanager
def _reporting(report: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:  # noqa: BLE001 - whatever it is, the parent is to know
        report.send(traceback.format_exc())
        # Quietly: the parent shows what it is told.
        sys.exit(1)


class _Reporter(logging.Handler):
    """Report what Daphne logs when it cannot listen; it then ends as if all were well."""

    def __init__(self, report: Connection) -> None:
        super().__init__(logging.CRITICAL)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record."""
        with suppress(OSError):  # The parent hears nothing more after the start.
            self._report.send(record.getMessage())


def tell_stacks(path: Path, deadline: float) -> None:
    """Write to a file what all threads do, shortly before a time is over.

    It does no harm when the server has started: nobody reads it then.
    """
    left = max(deadline - time.time(), 0.0)
    file = path.open("w")
    _open.append(file)
    faulthandler.dump_traceback_later(max(left * 0.9, 0.1), file=file)


# What must not be closed before the process ends.
_open: list[Any] = []


def _leave_with_parent() -> None:
    """End when the parent has ended in whatever way, and on no other sign than its request."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C is sent to both; the parent then stops this process when it has left its tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process: Any = multiprocessing.current_process()
    # It was for the parent's sake; an application may start processes of its own.
    process._config["daemon"] = False
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
