"""A redis-server of a test's own."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

__all__ = ["RedisProcess", "free_port", "running_redis", "until", "wait_until_it_listens"]

# Of the operator's client.
_PATIENCE = 60.0
_PAUSE = 0.02


def wait_until_it_listens(family: int, address: Any) -> None:
    """Wait until a server accepts connections at an address.

    Not by redis-py's own retries: its older versions have none for connecting, and leave the socket
    of an attempt open.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        with socket.socket(family) as attempt, suppress(OSError):
            attempt.connect(address)
            return
        assert time.monotonic() < until, f"no server listens at {address}"
        time.sleep(_PAUSE)


class RedisProcess:
    """A server that can be stopped, frozen and started again at the same address."""

    process: subprocess.Popen[bytes]

    def __init__(
        self, folder: Path, *options: str, port: int | None = None, config: str | None = None
    ) -> None:
        self.folder = folder
        if port is None:
            self.url = f"unix://{folder}/socket"
            self._family: int = socket.AF_UNIX
            self._address: Any = f"{folder}/socket"
            where = ["--port", "0", "--unixsocket", "socket"]
        else:
            self.url = f"redis://127.0.0.1:{port}/0"
            self._family, self._address = socket.AF_INET, ("127.0.0.1", port)
            where = ["--port", str(port), "--bind", "127.0.0.1"]
        program = shutil.which("redis-server")
        if program is None:
            reason = "redis-server is not installed (Debian: apt-get install redis-server)"
            if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        stores = ["--save", "", "--logfile", "log"]
        if config is not None:
            Path(folder, "config").write_text(config)
            stores = ["config"]
        self._command = [program, *stores, *where, *options]

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, cwd=self.folder)
        self.ask("PING")

    def stop(self) -> None:
        # SIGKILL ends a frozen server, too.
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: Any) -> Any:
        """Send a command as an operator would, and return the answer."""
        wait_until_it_listens(self._family, self._address)
        with closing(Redis.from_url(self.url)) as client:
            send: Any = client.execute_command  # published without types
            return send(*command)

    def counts(self) -> dict[str, int]:
        """Return how often each command was called, since `reset_counts`."""
        found = self.ask("INFO", "commandstats")
        return {
            name.removeprefix("cmdstat_").partition("|")[0]: stats["calls"]
            for name, stats in found.items()
        }

    def reset_counts(self) -> None:
        self.ask("CONFIG", "RESETSTAT")


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true of another process or a thread, which tells nobody."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing here is told of it
            await asyncio.sleep(0.01)


def free_port() -> int:
    """Return a port that nothing listens on at the moment.

    It is below the ports that systems give to clients: a client that tries again and again to
    reach a server which is away would get the server's port in the end, and reach itself.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@contextmanager
def running_redis(
    *options: str, port: int | None = None, config: str | None = None
) -> Iterator[RedisProcess]:
    """Run a server, or skip the test if the program is not installed."""
    # Not in pytest's folder, because the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisProcess(Path(folder), *options, port=port, config=config)
        server.start()
        try:
            yield server
        finally:
            server.stop()
