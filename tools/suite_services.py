"""Start what the test suites of other packages want to find at its usual place."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["redis_running", "sentinel_settings"]

REDIS: Final = 6379
SENTINEL: Final = 26379
#: What the tests of channels-redis give Sentinel.
PASSWORD: Final = "channels_redis"  # noqa: S105 (of a server for tests)
SECONDS: Final = 60


def sentinel_settings(folder: Path) -> str:
    """Return the configuration of a Sentinel that knows our Redis as `sentinel`."""
    return (
        f"port {SENTINEL}\nbind 127.0.0.1 -::1\ndir {folder}\nrequirepass {PASSWORD}\n"
        f"sentinel monitor sentinel 127.0.0.1 {REDIS} 1\n"
    )


@contextmanager
def redis_running(folder: Path) -> Iterator[None]:
    """Run Redis and Sentinel at their usual ports, on this machine alone, for the tests.

    The tests empty the databases they use: a server that is there already is not touched.
    """
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is needed on the PATH (Debian: apt-get install redis-server).")
    for port in (REDIS, SENTINEL):
        if _answers(port):
            sys.exit(f"The tests need port {port} for a Redis of their own: stop what is there.")
    sentinel = folder / "sentinel.conf"
    sentinel.write_text(sentinel_settings(folder), encoding="utf-8")
    commands = (
        [program, "--port", str(REDIS), "--bind", "127.0.0.1", "-::1", "--save", ""],
        [program, str(sentinel), "--sentinel"],
    )
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for command, port in zip(commands, (REDIS, SENTINEL), strict=True):
            server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
            servers.append(server)
            deadline = time.monotonic() + SECONDS
            while not _answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{' '.join(command)} did not start")
                time.sleep(0.02)
        yield
    finally:
        for server in servers:
            server.terminate()
            server.wait(SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
