"""A PostgreSQL of one's own: in a temporary folder, on a socket there, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["MissingPart", "running_server"]

# What a power cut would lose is lost anyway.
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")

# Its own user on Debian, since it refuses to run as root.
_USER = "postgres"

# A safety net, for a loaded machine.
SECONDS = 120


class MissingPart(Exception):
    """There is no PostgreSQL on this machine."""


def _program(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL that there is."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4])
    )
    found = str(debian[-1]) if debian else shutil.which(name)
    if found is None:
        raise MissingPart(f"PostgreSQL's {name} is not here (Debian: apt-get install postgresql)")
    return found


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server, and give the folder of its socket; its user is `postgres`.

    Raises:
        MissingPart: PostgreSQL is not installed.
    """
    initdb, control = _program("initdb"), _program("pg_ctl")
    # Not pytest's folder: nobody but its user may enter that. A socket's path has to be short, too.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    options: dict[str, Any] = {"cwd": folder, "timeout": SECONDS}
    if os.geteuid() == 0:
        shutil.chown(folder, _USER, _USER)
        options |= {"user": _USER, "group": _USER, "extra_groups": []}
    data, log = folder / "data", folder / "log"
    settings = [f"-c {setting}" for setting in ("listen_addresses=", *_QUICK)]
    try:
        create = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        _run([initdb, "-D", str(data), "-U", _USER, *create], options)
        start = ["-w", "-l", str(log), "-o", f"-k {folder} {' '.join(settings)}", "start"]
        _run([control, "-D", str(data), *start], options)
        try:
            yield str(folder)
        finally:
            _run([control, "-D", str(data), "-w", "-m", "immediate", "stop"], options)
    finally:
        shutil.rmtree(folder)


def _run(command: list[str], options: dict[str, Any]) -> None:
    # Into a file: the server inherits it, and a pipe would stay open as long as the server runs.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, check=False, **options
        )
        output.seek(0)
        assert done.returncode == 0, output.read()
