"""Start the process of a live server, and stop it; from the test's process."""

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
from channels_testing._live import databases as _live_databases
from channels_testing._live.process_startup import Launch, Prepared, revive, tell_failure
from channels_testing._live.settings_transfer import pack

__all__ = ["LiveServerError", "process_class", "start", "stop"]

# Between two looks whether a process is ready, which cannot be waited for together with its end.
_PAUSE: Final = 0.05

# In which a process that has been killed is gone.
_KILL_SECONDS: Final = 10


class LiveServerError(ChannelsError, RuntimeError):
    """A live server could not be started."""


def process_class() -> Any:
    """Return the process that Daphne has for tests.

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
        make: Its class, or what else makes it: `daphne.testing.DaphneProcess` or one like it.
        host: Where it listens.
        port: Where it listens; 0 for a port that the operating system chooses.
        get_application: Makes the application, in the process.
        setup: Called there before it serves.
        databases: The aliases that it may use.
        case: The name of the test class.
        start_method: `fork`, `forkserver` or `spawn`; None for the one that is set.
        seconds: How long it may take.

    Raises:
        LiveServerError: It does not serve; the text has the process's traceback.
        ImproperlyConfigured: What it needs cannot be pickled, for a start method that needs that.
        ValueError: There is no such start method here.
    """
    deadline = time.monotonic() + seconds
    with _method(start_method) as method, _folder() as folder:
        reader, writer = multiprocessing.Pipe(duplex=False)
        stacks = Path(folder, "stacks")
        until = time.time() + seconds
        prepared = None
        if method != "fork":
            prepared = Prepared(writer, dict(os.environ), pack(), stacks, until)
        launch = Launch(
            get_application,
            None if prepared else writer,
            _live_databases.names(),
            databases,
            case,
            stacks,
            until,
        )
        # A class of a program's may know of no port.
        process = make(host, launch, setup=setup, **({"port": port} if port else {}))
        with reader, writer:
            try:
                _start(process, prepared, writer)
                why = _wait(process, reader, deadline)
                if why is not None:
                    raise LiveServerError(_explain(case, why, process, reader, stacks))
            except BaseException:
                stop(process, seconds=0)
                raise
    return process


def _folder() -> tempfile.TemporaryDirectory[str]:
    # The process has a file open in it, which then cannot be deleted everywhere.
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


@contextmanager
def _method(start_method: str | None) -> Iterator[str]:
    """Have processes and what they share made for a start method."""
    before = multiprocessing.get_start_method(allow_none=True)
    if start_method is not None:
        multiprocessing.set_start_method(start_method, force=True)
    try:
        yield multiprocessing.get_start_method()
    finally:
        multiprocessing.set_start_method(before, force=True)


def _start(process: Any, prepared: Prepared | None, report: Connection) -> None:
    # Those that are not are waited for at the interpreter's end, and this one would not end.
    process.daemon = True
    # Django runs tests in parallel in daemons, which may start no process: but theirs goes along.
    current: Any = multiprocessing.current_process()
    was_daemon = current._config.get("daemon")
    current._config["daemon"] = False
    try:
        with warnings.catch_warnings():
            # As an error it would come after the fork, and leave a process of which none knows.
            warnings.filterwarnings("ignore", r".*multi-threaded", DeprecationWarning)
            if prepared is not None:
                ForkingPickler.register(type(process), _reducer(prepared))
                process.start()
            else:
                # For the fork alone.
                process.run = tell_failure(process.run, report)
                process.start()
                del process.run
    finally:
        current._config["daemon"] = was_daemon


def _reducer(prepared: Prepared) -> Callable[[Any], Any]:
    def reduce(process: Any) -> Any:
        # By itself, so that it is loaded after Django has been set up.
        made = process.__reduce_ex__(4)[:3]
        try:
            pickled = bytes(ForkingPickler.dumps(made))
        except Exception as error:
            raise ImproperlyConfigured(
                "The live server runs in a process that is started anew, and what it is made of "
                f"(ProtocolServerProcess, static_wrapper) cannot be pickled: {error}"
            ) from error
        return revive, (prepared, pickled)

    return reduce


def _wait(process: Any, reader: Connection, deadline: float) -> str | None:
    """Return None when it serves, or why it does not."""
    while not process.ready.wait(_PAUSE):
        if not process.is_alive():
            return f"its process ended with exit code {process.exitcode}"
        if reader.poll():
            return "its process failed"
        if time.monotonic() > deadline:
            return "it took too long"
    return None


def _explain(case: str, why: str, process: Any, reader: Connection, stacks: Path) -> str:
    told = []
    while reader.poll():
        told.append(reader.recv())
    errors = getattr(process, "errors", None)
    while errors is not None and not errors.empty():
        told.append(errors.get()[1])
    if not told and why == "it took too long":
        told.append(stacks.read_text() if stacks.is_file() else "It never came to run.")
    lines = "\n".join(told) or "Its output, if any, says why."
    return f"The live server of {case} did not start: {why}.\n{indent(lines.rstrip(), '  ')}"


def stop(process: Any, *, seconds: float) -> None:
    """Stop a process: ask it to end, and end it if it does not.

    Args:
        process: One that was started, or could not be.
        seconds: How long it may take to end by itself.
    """
    if process.pid is None:
        return
    process.terminate()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join(_KILL_SECONDS)
