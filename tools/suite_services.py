"""Start the servers that the test suites of other packages expect at their usual ports."""

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
#: The password that the tests of channels-redis use for Sentinel.
PASSWORD: Final = "channels_redis"  # noqa: S105 (of a server for tests)
#: The ports of RabbitMQ: its own, of its distribution protocol, and of Erlang's node registry.
RABBITMQ: Final = 5672
RABBITMQ_NODE: Final = 25672
ERLANG: Final = 4369
SECONDS: Final = 60


def sentinel_settings(folder: Path) -> str:
    """Return the configuration of a Sentinel that monitors our Redis as `sentinel`."""
    return (
        f"port {SENTINEL}\nbind 127.0.0.1 -::1\ndir {folder}\nrequirepass {PASSWORD}\n"
        f"sentinel monitor sentinel 127.0.0.1 {REDIS} 1\n"
    )


@contextmanager
def redis_running(folder: Path) -> Iterator[None]:
    """Run Redis and Sentinel at their usual ports, reachable only from this machine.

    The tests empty their databases. So this exits if a server is already running there.
    """
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is needed on the PATH (Debian: apt-get install redis-server).")
    for port in (REDIS, SENTINEL):
        if _answers(port):
            sys.exit(
                f"The tests need port {port} for their own Redis: stop the server that uses it."
            )
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
    """Return the environment of a RabbitMQ that is reachable only from this machine."""
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
    """Run RabbitMQ at its usual port, reachable only from this machine."""
    # Not the program on the PATH, which runs as Debian's user and with Debian's data folder.
    found = [*Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")]
    if not found:
        sys.exit("rabbitmq-server is needed (Debian: apt-get install rabbitmq-server).")
    for port in (RABBITMQ, RABBITMQ_NODE):
        if _answers(port):
            sys.exit(
                f"The tests need port {port} for their own RabbitMQ: stop the server that uses it."
            )
    registered = _answers(ERLANG)
    home = folder / "rabbitmq"
    home.mkdir()
    try:
        with _serving([str(found[0])], RABBITMQ, home, rabbitmq_settings(home)):
            yield
    finally:
        if not registered:
            # The first node starts Erlang's node registry, which keeps running after it.
            subprocess.run(["epmd", "-kill"], check=False, stdout=subprocess.DEVNULL)


@contextmanager
def _serving(
    command: Sequence[str], port: int, folder: Path, variables: dict[str, str] | None = None
) -> Iterator[None]:
    """Run a server during the block, which begins when its port accepts connections."""
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
