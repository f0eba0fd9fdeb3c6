"""Run the test suites of public packages that import `channels`, unmodified, on our wheels.

Each package of `suites.toml` gets its own environment: our wheels, the package from its source
archive or wheel, what its tests need, and nothing of upstream. Packages without tests are tested by
ours in tests/suites, which use them as a program does. The failures and the counts must be those of
the table. With `--upstream`, each suite also runs on upstream's `channels`, which shows what fails
there too. The table is for Django 5.2.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import django

from tools import summary
from tools.build import build
from tools.env import programs
from tools.packages import PACKAGES, ROOT
from tools.suite_services import rabbitmq_running, redis_running
from tools.suite_table import (
    PROGRAMS,
    TABLE,
    Suite,
    conflicts,
    constraints,
    count,
    failed,
    judge,
    load,
    outcomes,
)
from tools.test import environment

__all__ = ["main", "run"]

REPORTS: Final = summary.REPORTS / "suites"
UPSTREAM: Final = "channels[daphne]==4.3.2"
#: What every suite may use, pinned as everything else.
RUNNER: Final = ("pytest", "pytest-asyncio", "pytest-django", "pytest-timeout")
#: A safety net: seconds for one suite.
LIMIT: Final = 1200

# Runs in the new environment. The version and the module behind the name identify ours.
PROOF: Final = """
import sys, channels, channels.consumer
assert channels.__file__.startswith(sys.prefix), channels.__file__
assert channels.__version__.startswith(sys.argv[1]), channels.__version__
assert channels.consumer.__name__ == sys.argv[2], channels.consumer.__name__
"""


class _Bench:
    """The folder that suites run in, with what they share."""

    def __init__(self, folder: Path, pins: list[str]) -> None:
        self.folder = folder
        self.pins = pins
        self.wheels = [build(package, folder / "wheels")[1] for package in PACKAGES]
        series = ".".join(map(str, django.VERSION[:2]))
        self.common = (ROOT / "constraints" / f"django-{series}.txt").read_text(encoding="utf-8")

    def source(self, suite: Suite, target: Path) -> tuple[Path, Path]:
        """Download the package; return its file and the folder that its tests run in."""
        kind = "--only-binary" if suite.wheel else "--no-binary"
        _step(
            *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"),
            *("--no-deps", kind, suite.name, "--dest", target),
            f"{suite.name}=={suite.version}",
        )
        (archive,) = target.iterdir()
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != suite.sha256:
            sys.exit(f"{archive.name} has the SHA-256 {found}, but expected {suite.sha256}")
        source = target / "source"
        if suite.programs:
            shutil.copytree(PROGRAMS / suite.programs, source)
        elif suite.wheel:
            source.mkdir()
        else:
            with tarfile.open(archive) as content:
                # The oldest releases of Python 3.11 lack the filter. The digest was checked above.
                content.extraction_filter = getattr(tarfile, "data_filter", None)
                content.extractall(source)  # noqa: S202 (the filter is set above)
            (source,) = source.iterdir()
        for name, text in suite.files.items():
            file = source / name
            if file.exists():
                sys.exit(f"{archive.name} has its own {name}, which must not be changed")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return archive, source

    def run(self, suite: Suite, *, upstream: bool) -> dict[str, str]:
        """Run a suite in a new environment, and return the outcome of each test."""
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            folder = Path(temporary)
            (folder / "archive").mkdir()
            archive, source = self.source(suite, folder / "archive")
            python = programs(folder / "env") / "python"
            pins = folder / "pins.txt"
            pins.write_text(constraints(suite, self.pins, self.common), encoding="utf-8")
            pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
            own = (UPSTREAM,) if upstream else self.wheels
            _step(sys.executable, "-m", "venv", "--without-pip", folder / "env")
            install = (*pip, "install", "-q", "--no-compile", "-c", pins)
            # One without its requirements is installed last, by itself.
            package = () if suite.alone else (archive,)
            _step(*install, *own, *package, *RUNNER, *suite.requires)
            if suite.alone:
                _step(*install, "--no-deps", archive)
            broken = conflicts(suite, _output(*pip, "check"))
            if broken:
                sys.exit("\n".join(broken))
            owner = "channels.consumer" if upstream else "channels_core.consumer"
            _step(python, "-c", PROOF, "4.3" if upstream else "5.", owner)
            report = REPORTS / f"{suite.name}-{suite.version}{'-upstream' if upstream else ''}.xml"
            report.parent.mkdir(parents=True, exist_ok=True)
            report.unlink(missing_ok=True)
            # Of upstream, only the names of failed tests are shown: tracebacks contain its source.
            shown = "no" if upstream else "short"
            subprocess.run(
                [
                    *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--tb={shown}"),
                    *(f"--junit-xml={report}", *suite.run),
                ],
                cwd=source,
                env={**environment(), **suite.environment},
                check=False,
                timeout=LIMIT,
                stdout=subprocess.DEVNULL if upstream else None,
                stderr=subprocess.STDOUT if upstream else None,
            )
            if not report.is_file():
                sys.exit(f"{suite} left no report: its tests did not run")
            return outcomes(report.read_text(encoding="utf-8"))


def _step(*command: str | os.PathLike[str]) -> None:
    done = _run(*command)
    if done.returncode:
        sys.exit(f"$ {' '.join(map(str, command))}\n{done.stdout}")


def _output(*command: str | os.PathLike[str]) -> str:
    return _run(*command).stdout


def _run(*command: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(suites: Iterable[Suite], pins: list[str], *, upstream: bool) -> bool:
    """Run suites in sequence, and return whether all results are those of the table."""
    right = True
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = _Bench(folder, pins)
        for suite in suites:
            with ExitStack() as services:
                if suite.needs_redis:
                    services.enter_context(redis_running(folder))
                if suite.needs_rabbitmq:
                    services.enter_context(rabbitmq_running(folder))
                print(f"-- {suite}: {suite.what}", flush=True)
                ours = bench.run(suite, upstream=False)
                theirs = bench.run(suite, upstream=True) if upstream and suite.compare else None
            lines = [f"{suite} on ours: {count(ours)}"]
            if theirs is not None:
                lines.append(f"{suite} on upstream: {count(theirs)}")
                lines += [
                    f"fails on ours alone: {one}" for one in sorted(failed(ours) - failed(theirs))
                ]
            problems = list(judge(suite, ours, theirs))
            right = right and not problems
            lines += [f"differs from the table: {one}" for one in problems]
            print("\n".join(lines), flush=True)
    return right


def main() -> None:
    """Run the named suites, or all."""
    parser = argparse.ArgumentParser(prog="python -m tools.suites", description=__doc__)
    parser.add_argument("names", nargs="*", help="packages of the table; all if none is named")
    parser.add_argument("--upstream", action="store_true", help="compare with upstream as well")
    options = parser.parse_args()
    pins, suites = load(TABLE.read_text(encoding="utf-8"))
    unknown = set(options.names) - {suite.name for suite in suites}
    if unknown:
        names = ", ".join(sorted({suite.name for suite in suites}))
        sys.exit(f"There is no suite of {', '.join(sorted(unknown))}: choose from {names}.")
    chosen = [suite for suite in suites if not options.names or suite.name in options.names]
    if not run(chosen, pins, upstream=options.upstream):
        sys.exit("Some results differ from tools/suites.toml.")


if __name__ == "__main__":
    main()
