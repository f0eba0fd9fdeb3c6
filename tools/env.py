"""Make the environment for one interpreter and one Django, and run a command in it.

The Makefile runs every task through this module, so a task never meets an environment that is
missing or out of date. It uses only the standard library, because it runs before anything is
installed. It works on Linux, macOS and Windows.
"""

import argparse
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tools.packages import DJANGO, PACKAGES, PYTHON, ROOT

__all__ = [
    "DEFAULT_DJANGO",
    "DEFAULT_PYTHON",
    "check_pair",
    "exclusive",
    "folder",
    "install",
    "main",
    "programs",
    "stamp",
]

DEFAULT_PYTHON: Final = "python3"
DEFAULT_DJANGO: Final = "5.2"

STAMP: Final = "channels-install-stamp"

#: How long, in seconds, one installation waits for another one of the same environment.
_PATIENCE: Final = 3600


def check_pair(python: tuple[int, int], django: str) -> str | None:
    """Return why this Python and this Django cannot be used together, or None if they can."""
    version = ".".join(map(str, python))
    if python < PYTHON[0]:
        oldest = ".".join(map(str, PYTHON[0]))
        return f"Python {oldest} or newer is needed, and this is {version}: name one with PYTHON=."
    if django not in DJANGO:
        return f"DJANGO={django} is not a supported series: choose one of {', '.join(DJANGO)}."
    if python < DJANGO[django]:
        oldest = ".".join(map(str, DJANGO[django]))
        return (
            f"Django {django} needs Python {oldest} or newer, and this is {version}: "
            "name another with PYTHON= or DJANGO=."
        )
    return None


def folder(command: str, version: tuple[int, int], django: str) -> Path:
    """Return the folder of the environment: each combination has its own.

    Args:
        command: The interpreter as the developer named it.
        version: The version of that interpreter.
        django: The Django series.
    """
    if (command, django) == (DEFAULT_PYTHON, DEFAULT_DJANGO):
        return ROOT / ".venv"
    return ROOT / f".venv-{version[0]}.{version[1]}-django{django}"


def stamp(django: str) -> str:
    """Return a digest of everything that determines the content of the environment."""
    files = [
        Path(__file__),
        ROOT / "tools" / "packages.py",
        ROOT / "constraints" / f"django-{django}.txt",
        *(package.folder / "pyproject.toml" for package in PACKAGES),
    ]
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def programs(env: Path) -> Path:
    """Return the folder of an environment that holds its interpreter and its commands."""
    return env / ("Scripts" if os.name == "nt" else "bin")


@contextmanager
def exclusive(path: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """Keep other processes out of the block until it ends.

    The lock is one of SQLite's, because it works on every system and ends with its process. The
    standard library's own locks, in `fcntl` and `msvcrt`, each work on one kind of system.

    Args:
        path: A file for this lock alone; it is created if it does not exist.
        patience: Seconds to wait for the process that holds the lock.

    Raises:
        sqlite3.OperationalError: The other process still holds the lock.
    """
    with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield


def install(env: Path, django: str) -> None:
    """Bring the environment up to date, unless its stamp says that it is."""
    expected = stamp(django)
    locks = ROOT / "build"
    locks.mkdir(exist_ok=True)
    # Two runs of make would otherwise install into the same environment at once.
    with exclusive(locks / f"{env.name}.lock"):
        done = env / STAMP
        if done.is_file() and done.read_text() == expected and _starts(env):
            return
        print(
            f"Setting up {env.name}: Python {sys.version.split()[0]} with Django {django}. "
            "This happens once and takes a minute or two.",
            flush=True,
        )
        if not _starts(env):
            _run(sys.executable, "-m", "venv", "--clear", str(env))
        pip = (str(programs(env) / "python"), "-m", "pip", "--disable-pip-version-check")
        pins = ROOT / "constraints" / f"django-{django}.txt"
        # Two steps, because pip refuses local projects in hash mode. Most of the installed modules
        # are never imported, so each is compiled at its first import instead of here.
        quick = ("-q", "--no-compile", "--no-deps")
        _run(*pip, "install", *quick, "--require-hashes", "-r", str(pins))
        editable = [part for package in PACKAGES for part in ("-e", str(package.folder))]
        _run(*pip, "install", *quick, "--no-build-isolation", *editable)
        _run(*pip, "check")
        done.write_text(expected)


def _starts(env: Path) -> bool:
    """Return whether the environment's interpreter starts and has the version of this one."""
    try:
        found = subprocess.run(
            [programs(env) / "python", "-c", "import sys; print(sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == str(sys.version_info[:2])


def _run(*command: str) -> None:
    """Run a step of the installation, and exit with a message if it fails."""
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"This step of the set-up failed: {' '.join(command)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Install, then run the command that follows, if there is one."""
    parser = argparse.ArgumentParser(prog="tools.env", description=__doc__)
    parser.add_argument("--python", default=DEFAULT_PYTHON, help="the interpreter as it was named")
    parser.add_argument("--django", default=DEFAULT_DJANGO, help="the series, such as 5.2")
    parser.add_argument("command", nargs="*", help="what to run in the environment")
    options = parser.parse_args(arguments)

    version = sys.version_info[:2]
    if problem := check_pair(version, options.django):
        sys.exit(problem)
    env = folder(options.python, version, options.django)
    install(env, options.django)
    if options.command:
        os.environ["VIRTUAL_ENV"] = str(env)
        path = os.environ.get("PATH", os.defpath)
        os.environ["PATH"] = f"{programs(env)}{os.pathsep}{path}"
        os.environ.pop("PYTHONHOME", None)
        if os.name == "nt":
            # The tree's files are UTF-8. Python would read them in the system's encoding there.
            os.environ.setdefault("PYTHONUTF8", "1")
        _become(options.command)


def _become(command: list[str]) -> None:
    """Replace this process by a command, or exit with its status where a process cannot do that."""
    if os.name != "nt":
        os.execvp(command[0], command)
    # `exec` of Windows starts another process and ends this one at once, with status 0. And a plain
    # name would be searched beside this interpreter before it is searched on the PATH.
    program = shutil.which(command[0])
    if program is None:
        sys.exit(f"There is no command {command[0]!r} in the environment.")
    sys.exit(subprocess.run([program, *command[1:]], check=False).returncode)


if __name__ == "__main__":
    main()
