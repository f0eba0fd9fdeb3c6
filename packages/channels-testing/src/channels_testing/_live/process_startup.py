"""What the process of a live server does before it serves.

`Launch` is called in the process to make the application. It selects the databases of the tests,
and makes the process end with its parent. In a process that is started anew, `set_up_and_unpickle`
runs before that. Every failure is reported to the parent as text, through a pipe.
"""

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

from channels_testing._live import databases
from channels_testing._live.settings_transfer import PackedSettings, restore

__all__ = ["Launch", "ParentState", "reporting_failures", "set_up_and_unpickle"]


@dataclass(frozen=True)
class Launch:
    """Make the application, in the process that serves it; passed to Daphne as `get_application`.

    Attributes:
        get_application: Makes the application.
        report: Sends texts to the parent: why the process fails. None in a process that is started
            anew, which has it from `ParentState`.
        databases: The names of the databases by alias.
        allowed: The aliases that the test class may use.
        case: The name of the test class.
        stacks: The file for the stacks of all threads, written if the start takes too long.
        deadline: The time when the parent gives up, in seconds since the epoch.
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
        report = self.report or _report_of_this_process[0]
        with _reporting(report):
            _end_with_parent()
            if self.report:
                write_stacks_before(self.stacks, self.deadline)
                # The executor's thread has not been copied by the fork, so it needs a new one.
                SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
            else:
                databases.refuse_other_than(self.allowed, self.case)
            databases.forget_inherited()
            databases.record_names(self.databases)
            databases.use_test_databases()
            logging.getLogger("daphne.server").addHandler(_Reporter(report))
            return self.get_application()


# The `report` of this process, if it was started anew.
_report_of_this_process: list[Connection] = []


@dataclass(frozen=True)
class ParentState:
    """What a process that is started anew needs from its parent, before anything else.

    Attributes:
        report: Sends texts to the parent.
        environment: The parent's environment variables.
        settings: The parent's settings.
        stacks: As in `Launch`.
        deadline: As in `Launch`.
    """

    report: Connection
    environment: dict[str, str]
    settings: PackedSettings
    stacks: Path
    deadline: float


def set_up_and_unpickle(parent_state: ParentState, process: bytes) -> Any:
    """Set Django up, and only then unpickle the process's object, whose class may need Django.

    Args:
        parent_state: The state of the parent.
        process: The function, arguments and attributes that make the process's object, pickled.
    """
    _report_of_this_process.insert(0, parent_state.report)
    with _reporting(parent_state.report):
        write_stacks_before(parent_state.stacks, parent_state.deadline)
        # A fork server still has the environment of the time when it was started.
        os.environ.clear()
        os.environ.update(parent_state.environment)
        restore(parent_state.settings)
        function, arguments, state = pickle.loads(process)  # noqa: S301 - the parent process made it
        made = function(*arguments)
        vars(made).update(state)
        made.run = reporting_failures(made.run, parent_state.report)
        return made


def reporting_failures(run: Callable[[], object], report: Connection) -> Callable[[], None]:
    """Return a `run` for a process that reports its exceptions as well as raising them."""

    def run_and_report() -> None:
        try:
            run()
        except Exception:
            with suppress(OSError):  # The parent hears nothing more after the start.
                report.send(traceback.format_exc())
            raise

    return run_and_report


@contextmanager
def _reporting(report: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:  # noqa: BLE001 - the parent must know of any failure
        report.send(traceback.format_exc())
        # Without a traceback of its own, since the parent shows the report.
        sys.exit(1)


class _Reporter(logging.Handler):
    """Report Daphne's log record that it cannot listen; Daphne then ends without an error."""

    def __init__(self, report: Connection) -> None:
        super().__init__(logging.CRITICAL)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Report a record."""
        with suppress(OSError):  # The parent hears nothing more after the start.
            self._report.send(record.getMessage())


def write_stacks_before(path: Path, deadline: float) -> None:
    """Write the stacks of all threads to a file shortly before the deadline.

    If the server has started by then, nobody reads the file.
    """
    left = max(deadline - time.time(), 0.0)
    file = path.open("w")
    _open_files.append(file)
    faulthandler.dump_traceback_later(max(left * 0.9, 0.1), file=file)


# Files that must stay open until the process ends.
_open_files: list[Any] = []


def _end_with_parent() -> None:
    """End this process when the parent ends or asks for it, and on no other signal."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C reaches both processes. The parent stops this one once it has ended its tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process: Any = multiprocessing.current_process()
    # It is a daemon only for its parent: an application may start processes of its own.
    process._config["daemon"] = False
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
