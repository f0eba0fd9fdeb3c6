"""Start what the test suites of other packages want to find at its usual place."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

__all__ = ["rabbitmq_running", "rabbitmq_settings", "redis_running", "sentinel_settings"]

REDIS: Final = 6379
SENTINEL: Final = 26379
#: What the tests of channels-redis give Sentinel.
PASSWORD: Final = "channels_redis"  # noqa: S105 (of a server for tests)
#: Of RabbitMQ: its own, that of its distribution, and that of Erlang's register of nodes.
RABBITMQ: Final = 5672
RABBITMQ_NODE: Final = 25672
ERLANG: Final = 4369
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
    with ExitStack() as servers:
        for command, port in zip(commands, (REDIS, SENTINEL), strict=True):
            servers.enter_context(_serving(command, port, folder))
        yield


def rabbitmq_settings(folder: Path) -> dict[str, str]:
    """Return the environment of a RabbitMQ that listens on this machine alone."""
    return {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "suites@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(RABBITMQ),
        "RABBITMQ_DIST_PORT": str(RABBITMQ_NODE),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }


@contextmanager
def rabbitmq_running(folder: Path) -> Iterator[None]:
    """Run RabbitMQ at its usual port, on this machine alone, for the tests."""
    # The program on the PATH runs as the user that Debian made, and keeps what it has elsewhere.
    found = [*Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")]
    if not found:
        sys.exit("rabbitmq-server is needed (Debian: apt-get install rabbitmq-server).")
    for port in (RABBITMQ, RABBITMQ_NODE):
        if _answers(port):
            sys.exit(f"The tests need port {port} for a RabbitMQ of their own: stop what is there.")
    registered = _answers(ERLANG)
    home = folder / "rabbitmq"
    home.mkdir()
    try:
        with _serving([str(found[0])], RABBITMQ, home, rabbitmq_settings(home)):
            yield
    finally:
        if not registered:
            # The first node starts Erlang's register, and leaves it.
            subprocess.run(["epmd", "-kill"], check=False, stdout=subprocess.DEVNULL)


@contextmanager
def _serving(
    command: Sequence[str], port: int, folder: Path, variables: dict[str, str] | None = None
) -> Iterator[None]:
    """Run a server until the block ends; the block begins once its port answers."""
    environment = {**os.environ, **(variables or {})}
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{' '.join(command)} did not start")
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
