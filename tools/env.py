"""Make the environment for one interpreter and one Django, and run a command in it.

The Makefile puts every task through here, so that a task never runs in an environment
that is missing or out of date. Standard library only: it runs before anything is installed.
"""

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.packages import DJANGO, PACKAGES, PYTHON, ROOT

__all__ = ["DEFAULT_DJANGO", "DEFAULT_PYTHON", "check_pair", "folder", "install", "main", "stamp"]

DEFAULT_PYTHON: Final = "python3"
DEFAULT_DJANGO: Final = "5.2"

STAMP: Final = "channels-install-stamp"


def check_pair(python: tuple[int, int], django: str) -> str | None:
    """Return what is wrong with this Python and this Django together, if anything is."""
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
        version: What that interpreter turned out to be.
        django: The Django series.
    """
    if (command, django) == (DEFAULT_PYTHON, DEFAULT_DJANGO):
        return ROOT / ".venv"
    return ROOT / f".venv-{version[0]}.{version[1]}-django{django}"


def stamp(django: str) -> str:
    """Return a digest of all that decides what the environment must hold."""
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


def install(env: Path, django: str) -> None:
    """Bring the environment up to date, unless its stamp says that it is."""
    expected = stamp(django)
    locks = ROOT / "build"
    locks.mkdir(exist_ok=True)
    with (locks / f"{env.name}.lock").open("w") as lock:
        # Two makes at once on one environment would install over each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
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
        pip = (str(env / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        pins = ROOT / "constraints" / f"django-{django}.txt"
        # pip refuses local projects in hash mode, hence the two steps. Much of what is installed
        # is never imported, so compiling it is left to the first import.
        quick = ("-q", "--no-compile", "--no-deps")
        _run(*pip, "install", *quick, "--require-hashes", "-r", str(pins))
        editable = [part for package in PACKAGES for part in ("-e", str(package.folder))]
        _run(*pip, "install", *quick, "--no-build-isolation", *editable)
        _run(*pip, "check")
        done.write_text(expected)


def _starts(env: Path) -> bool:
    """Tell whether the environment's interpreter runs and is of the version that asks."""
    try:
        found = subprocess.run(
            [env / "bin" / "python", "-c", "import sys; print(sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == str(sys.version_info[:2])


def _run(*command: str) -> None:
    """Run a step of the installation, and exit with its status when it fails."""
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"This step of the set-up failed: {' '.join(command)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Install, then become the command that follows, if one does."""
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
        os.environ["PATH"] = f"{env / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        os.environ.pop("PYTHONHOME", None)
        os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main()
