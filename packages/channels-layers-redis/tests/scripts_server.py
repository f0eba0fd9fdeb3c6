"""A server that runs scripts, for tests of the scripts alone."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis, exceptions

from channels_layers_redis._scripts.calls import Call
from channels_layers_redis._scripts.keys import Keys
from redis_process import wait_until_it_listens

__all__ = ["KEYS", "START", "UNHURRIED", "Scripts", "running_scripts"]

T = TypeVar("T")

KEYS: Final = Keys("test")

#: A time of the server, in milliseconds, from which tests count.
START: Final = 1_800_000_000_000

#: For state machines: no limit of time, which a machine under load cannot keep.
UNHURRIED: Final = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Scripts:
    """Runs calls, each on a connection of the pool."""

    def __init__(self, path: Path) -> None:
        self.client = Redis(unix_socket_path=str(path))

    def run(self, call: Call[T]) -> T:
        script = call.script
        rest = (len(call.keys), *call.keys, *call.arguments)
        try:
            return call.parse(self.ask("EVALSHA", script.sha, *rest))
        except exceptions.NoScriptError:
            return call.parse(self.ask("EVAL", script.text, *rest))

    def ask(self, *command: Any) -> Any:
        send: Any = self.client.execute_command  # published without types
        return send(*command)

    def listen(self, *patterns: str) -> Any:
        """Subscribe, and return what reads the messages that are published from now on."""
        client: Any = self.client  # published without types
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.psubscribe(*patterns)
        for _ in patterns:
            listener.get_message(timeout=60)
        return listener

    def all_keys(self) -> list[str]:
        return sorted(key.decode() for key in self.ask("KEYS", "*"))


@contextmanager
def running_scripts(*options: str) -> Iterator[Scripts]:
    """Run a server with more options, or skip the test if the program is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "redis-server is not installed (Debian: apt-get install redis-server)"
        if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # Not in pytest's folder, because the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        usual = ["--port", "0", "--unixsocket", "socket", "--save", "", "--logfile", "log"]
        with subprocess.Popen([program, *usual, *options], cwd=folder) as process:
            try:
                path = Path(folder, "socket")
                wait_until_it_listens(socket.AF_UNIX, str(path))
                scripts = Scripts(path)
                with closing(scripts.client):
                    yield scripts
            finally:
                process.kill()
