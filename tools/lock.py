"""Write the constraints: third-party pins with hashes, one file for each Django series.

What to pin is read from the packages' own pyproject.toml files and from two lists in
constraints/: test.in (what the tests of a package need) and dev.in (everything else that a
developer runs). The environment of `make traced` has a file of its own, for traced.in. The result
names no index, no link and no path, so that the files hold for whoever installs from whatever
mirror.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.packages import DJANGO, PACKAGES, ROOT

__all__ = [
    "HEADER",
    "TRACED",
    "TRACED_HEADER",
    "main",
    "name_of",
    "requirements",
    "third_party",
    "traced_requirements",
]

HEADER = "# Third-party pins for Django {series}: `make lock` writes this file.\n"

#: The pins of the environment of `make traced`, and the Django series in it.
TRACED = ROOT / "constraints" / "traced.txt"
TRACED_HEADER = "# Third-party pins for `make traced`: `make lock` writes this file.\n"
TRACED_DJANGO = "5.2"


def name_of(requirement: str) -> str:
    """Return the normalised name of the distribution that a requirement asks for."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    if found is None:
        sys.exit(f"This is not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def third_party() -> list[str]:
    """Return what the packages and their extras require and the tree does not hold."""
    siblings = {package.name for package in PACKAGES}
    found: set[str] = set()
    for package in PACKAGES:
        project = package.pyproject()["project"]
        extras = project.get("optional-dependencies", {}).values()
        for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]:
            # channels-redis requires a `channels` of its own: pinning it would pin upstream.
            if name_of(requirement) not in siblings | {"channels-redis"}:
                found.add(requirement)
    return sorted(found)


def requirements(series: str) -> str:
    """Return everything to resolve for this Django series, one requirement a line."""
    return "\n".join([*third_party(), f"Django=={series}.*", _list("test"), _list("dev")])


def traced_requirements() -> str:
    """Return the same for the environment of `make traced`."""
    return "\n".join([*third_party(), f"Django=={TRACED_DJANGO}.*", _list("traced")])


def _list(name: str) -> str:
    return (ROOT / "constraints" / f"{name}.in").read_text(encoding="utf-8")


def _write(path: Path, header: str, wanted: str, oldest: tuple[int, int], *options: str) -> None:
    """Resolve anew and write one file.

    Args:
        path: The file.
        header: Its first line.
        wanted: The requirements.
        oldest: The oldest Python that the pins have to hold for.
        options: More for uv.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "all.in"), Path(folder, "all.txt")
        source.write_text(wanted, encoding="utf-8")
        command = [
            *("uv", "pip", "compile", "--quiet", "--no-config", "--system-certs", "--upgrade"),
            *("--universal", "--python-version", ".".join(map(str, oldest))),
            *("--generate-hashes", "--no-header", "--no-annotate"),
            # What channels-redis requires is of this tree.
            *("--no-emit-package", "channels"),
            *options,
            *("--output-file", str(target), str(source)),
        ]
        if subprocess.run(command, cwd=folder, check=False).returncode:
            sys.exit(f"uv could not resolve {path.name}.")
        pins = target.read_text(encoding="utf-8")
    path.write_text(header + pins, encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def main() -> None:
    """Resolve each series anew, and what `make traced` needs, and write their files."""
    paths = {series: ROOT / "constraints" / f"django-{series}.txt" for series in DJANGO}
    for series, oldest in DJANGO.items():
        _write(paths[series], HEADER.format(series=series), requirements(series), oldest)
    # One version of what both need: what is tested is what is traced.
    common = ("--constraint", str(paths[TRACED_DJANGO]))
    _write(TRACED, TRACED_HEADER, traced_requirements(), DJANGO[TRACED_DJANGO], *common)


if __name__ == "__main__":
    main()
