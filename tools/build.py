"""Build a package's source archive and, from it, its wheel, and check the content of the wheel."""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path
from typing import Final

from tools.packages import ROOT, Package, select

__all__ = ["build", "main", "problems"]

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
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as content:
            # The oldest releases of Python 3.11 lack the filter. The archive is our own.
            content.extraction_filter = getattr(tarfile, "data_filter", None)
            content.extractall(folder)  # noqa: S202 (the filter is set above)
        (source,) = Path(folder).iterdir()
        wheel = _call("build_wheel", source, target)
    return archive, wheel


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


def main() -> None:
    """Build the named package, or all, into dist/."""
    wrong = False
    for package in select(sys.argv[1] if len(sys.argv) > 1 else None):
        for file in build(package, DIST):
            print(f"built {file.relative_to(ROOT)}")
        for problem in problems(package, file):
            wrong = True
            print(f"{file.name}: {problem}", file=sys.stderr)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
