"""Start and stop the process of a live server, from the test's process.

A forked process has the memory of the test's process, and makes the application by `Launch`. A
process that is started anew (`spawn`, `forkserver`) first gets the parent's environment and
settings (`ParentState`), and sets Django up before anything else of the program is unpickled.

The process reports why it fails through a pipe. If it takes too long, it has written the stacks of
its threads to a file; the error of the test shows both.
"""

import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from channels_core.exceptions import ChannelsError
from channels_testing._live.databases import names_in_use
from channels_testing._live.process_startup import (
    Launch,
    ParentState,
    reporting_failures,
    set_up_and_unpickle,
)
from channels_testing._live.settings_transfer import pack

__all__ = ["LiveServerError", "process_class", "start", "stop"]

# Seconds between two checks of the process. Its readiness and its end are of different kinds, and
# cannot be waited for together.
_PAUSE: Final = 0.05

# Seconds within which a process that was killed has ended.
_KILL_SECONDS: Final = 10


class LiveServerError(ChannelsError, RuntimeError):
    """A live server did not start or did not stop."""


def process_class() -> Any:
    """Return the class of the server process that Daphne has for tests.

    Raises:
        ImportError: Daphne is not installed.
    """
    try:
        from daphne.testing import DaphneProcess
    except ImportError as error:
        raise ImportError(
            "The live server needs Daphne, which cannot be imported: install "
            f"channels-testing[live] ({error})"
        ) from error
    return DaphneProcess


def start(
    make: Callable[..., Any],
    *,
    host: str,
    port: int,
    get_application: Callable[[], Any],
    setup: Callable[[], object],
    databases: frozenset[str],
    case: str,
    start_method: str | None,
    seconds: float,
) -> Any:
    """Start a process and return it once it serves.

    Args:
        make: The class of the process, or a function that makes it: `daphne.testing.DaphneProcess`
            or one like it.
        host: The host where it listens.
        port: The port where it listens; 0 for a port that the operating system chooses.
        get_application: Makes the application, in the process.
        setup: Called in the process before it serves.
        databases: The aliases that it may use.
        case: The name of the test class.
        start_method: `fork`, `forkserver` or `spawn`; None for the method that is set.
        seconds: How long the start may take.

    Raises:
        LiveServerError: It does not serve; the text has the process's traceback.
        ImproperlyConfigured: An object that the process needs cannot be pickled.
        ValueError: This system does not have the start method.
    """
    deadline = time.monotonic() + seconds
    with _start_method_set(start_method) as method, _folder() as folder:
        reader, writer = multiprocessing.Pipe(duplex=False)
        stacks = Path(folder, "stacks")
        until = time.time() + seconds
        parent_state = None
        if method != "fork":
            parent_state = ParentState(writer, dict(os.environ), pack(), stacks, until)
        launch = Launch(
            get_application,
            None if parent_state else writer,
            names_in_use(),
            databases,
            case,
            stacks,
            until,
        )
        # A program's own class need not accept a port.
        process = make(host, launch, setup=setup, **({"port": port} if port else {}))
        with reader, writer:
            try:
                _start(process, parent_state, writer)
                why = _wait(process, reader, deadline)
                if why is not None:
                    raise LiveServerError(_failure_text(case, why, process, reader, stacks))
            except BaseException:
                stop(process, seconds=0)
                raise
    return process


def _folder() -> tempfile.TemporaryDirectory[str]:
    # The process has a file open in it, which some systems then refuse to delete.
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


@contextmanager
def _start_method_set(start_method: str | None) -> Iterator[str]:
    """Set a start method for processes and for the objects that they share."""
    before = multiprocessing.get_start_method(allow_none=True)
    if start_method is not None:
        multiprocessing.set_start_method(start_method, force=True)
    try:
        yield multiprocessing.get_start_method()
    finally:
        multiprocessing.set_start_method(before, force=True)


def _start(process: Any, parent_state: ParentState | None, report: Connection) -> None:
    # When the interpreter ends, it waits for all processes but daemons, and this one never ends.
    process.daemon = True
    # Django runs parallel tests in daemons, which are not allowed to start processes. This one is
    # started all the same, since it ends with its parent.
    current: Any = multiprocessing.current_process()
    was_daemon = current._config.get("daemon")
    current._config["daemon"] = False
    try:
        with warnings.catch_warnings():
            # As an error it would be raised after the fork, and nobody would stop the child.
            warnings.filterwarnings("ignore", r".*multi-threaded", DeprecationWarning)
            if parent_state is not None:
                ForkingPickler.register(type(process), _reducer(parent_state))
                process.start()
            else:
                # Only for the fork, which copies it.
                process.run = reporting_failures(process.run, report)
                process.start()
                del process.run
    finally:
        current._config["daemon"] = was_daemon


def _reducer(parent_state: ParentState) -> Callable[[Any], Any]:
    def reduce(process: Any) -> Any:
        # Pickled separately, so that it is unpickled only after Django has been set up.
        made = process.__reduce_ex__(4)[:3]
        try:
            pickled = bytes(ForkingPickler.dumps(made))
        except Exception as error:
            raise ImproperlyConfigured(
                "The live server runs in a process that is started anew, and its parts "
                f"(ProtocolServerProcess, static_wrapper) cannot be pickled: {error}"
            ) from error
        return set_up_and_unpickle, (parent_state, pickled)

    return reduce


def _wait(process: Any, reader: Connection, deadline: float) -> str | None:
    """Return None once the process serves, or the reason why it does not."""
    while not process.ready.wait(_PAUSE):
        if not process.is_alive():
            return f"its process ended with exit code {process.exitcode}"
        if reader.poll():
            return "its process failed"
        if time.monotonic() > deadline:
            return "it took too long"
    return None


def _failure_text(case: str, why: str, process: Any, reader: Connection, stacks: Path) -> str:
    reports = []
    while reader.poll():
        reports.append(reader.recv())
    errors = getattr(process, "errors", None)
    while errors is not None and not errors.empty():
        reports.append(errors.get()[1])
    if not reports and why == "it took too long":
        reports.append(stacks.read_text() if stacks.is_file() else "It never began to run.")
    lines = "\n".join(reports) or "Its output, if any, says why."
    return f"The live server of {case} did not start: {why}.\n{indent(lines.rstrip(), '  ')}"


def stop(process: Any, *, seconds: float) -> None:
    """Ask a process to end, and kill it if it does not.

    Args:
        process: The process, which may not have been started.
        seconds: How long it may take before it is killed.
    """
    if process.pid is None:
        return
    process.terminate()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join(_KILL_SECONDS)
