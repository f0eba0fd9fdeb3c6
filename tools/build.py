"""Build a package's source archive and, from it, its wheel, and check the content of both."""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.parser import Parser
from pathlib import Path
from typing import Final

from tools.packages import ROOT, Package, select

__all__ = ["DIST", "build", "faults", "main", "problems", "reproduced", "unpacked"]

DIST: Final = ROOT / "dist"

# Calls the build backend as pip does: in the folder of the project that it builds.
CALL: Final = """
import pathlib, sys
from poetry.core.masonry import api
print(getattr(api, sys.argv[1])(pathlib.Path(sys.argv[2])))
"""


def _call(hook: str, source: Path, target: Path) -> Path:
    """Run a hook of the build backend and return the file that it made."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, hook, str(target)],
        cwd=source,
        # It would set the time of the files, and so change the bytes.
        env={name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{hook} failed in {source}")
    return target / done.stdout.split()[-1]


def build(package: Package, target: Path) -> tuple[Path, Path]:
    """Build the source archive and the wheel into a folder, and return both.

    The wheel is built from the archive, as when somebody installs without wheels. So a file that is
    missing from the archive is noticed.
    """
    target.mkdir(parents=True, exist_ok=True)
    archive = _call("build_sdist", package.folder, target)
    with unpacked(archive) as source:
        return archive, _call("build_wheel", source, target)


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Unpack a source archive of ours for the block, and give its folder."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as content:
            # The oldest releases of Python 3.11 lack the filter. The archive is our own.
            content.extraction_filter = getattr(tarfile, "data_filter", None)
            content.extractall(folder)  # noqa: S202 (the filter is set above)
        (source,) = Path(folder).iterdir()
        yield source


def reproduced(archive: Path, wheel: Path) -> Iterable[str]:
    """Yield the files that differ when they are built again, from the source archive."""
    with unpacked(archive) as source, tempfile.TemporaryDirectory() as folder:
        for hook, file in (("build_sdist", archive), ("build_wheel", wheel)):
            if _call(hook, source, Path(folder)).read_bytes() != file.read_bytes():
                yield f"{file.name} differs when it is built again from {archive.name}"


def problems(package: Package, wheel: Path) -> Iterable[str]:
    """Yield the faults in the content of a wheel."""
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = Parser().parsestr(content.read(f"{info}/METADATA").decode())
    source = package.folder / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in package.source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {f"{info}/licenses/LICENSE"}
    yield from (f"{name} is missing" for name in sorted(expected - names))
    yield from (
        f"{name} does not belong there"
        for name in sorted(names - expected)
        if not name.startswith(f"{info}/")
    )
    project = package.pyproject()["project"]
    for field, value in {
        "Name": package.name,
        "Version": project["version"],
        "License-Expression": project["license"],
        "Description-Content-Type": "text/markdown",
    }.items():
        if metadata[field] != value:
            yield f"its {field} is {metadata[field]!r} instead of {value!r}"


def faults(package: Package, archive: Path, wheel: Path) -> Iterable[str]:
    """Yield everything that is wrong with two files that were built."""
    yield from (f"{wheel.name}: {problem}" for problem in problems(package, wheel))
    yield from reproduced(archive, wheel)
    done = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", archive, wheel],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        yield f"twine check --strict: {done.stdout}"


def main() -> None:
    """Build the named package, or all, into dist/."""
    wrong = False
    for package in select(sys.argv[1] if len(sys.argv) > 1 else None):
        archive, wheel = build(package, DIST)
        for file in (archive, wheel):
            print(f"built {file.relative_to(ROOT)}")
        for problem in faults(package, archive, wheel):
            wrong = True
            print(problem, file=sys.stderr)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
