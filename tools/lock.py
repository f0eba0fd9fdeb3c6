"""Write the constraints: third-party pins with hashes, one file for each Django series.

What to pin is read from the packages' own pyproject.toml files and from the two lists in
constraints/: test.in (what the tests of a package need) and dev.in (everything else that a
developer runs). The result names no index, no link and no path, so that the files hold for
whoever installs from whatever mirror.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.packages import DJANGO, PACKAGES, ROOT

__all__ = ["HEADER", "main", "name_of", "requirements", "third_party"]

HEADER = "# Third-party pins for Django {series}: `make lock` writes this file.\n"


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
    lists = [
        (ROOT / "constraints" / name).read_text(encoding="utf-8") for name in ("test.in", "dev.in")
    ]
    return "\n".join([*third_party(), f"Django=={series}.*", *lists])


def main() -> None:
    """Resolve each series anew and write its file."""
    for series, oldest in DJANGO.items():
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "all.in"), Path(folder, "all.txt")
            source.write_text(requirements(series), encoding="utf-8")
            command = [
                *("uv", "pip", "compile", "--quiet", "--no-config", "--system-certs", "--upgrade"),
                *("--universal", "--python-version", ".".join(map(str, oldest))),
                *("--generate-hashes", "--no-header", "--no-annotate"),
                # What channels-redis requires is of this tree.
                *("--no-emit-package", "channels"),
                *("--output-file", str(target), str(source)),
            ]
            if subprocess.run(command, cwd=folder, check=False).returncode:
                sys.exit(f"uv could not resolve the pins of Django {series}.")
            pins = target.read_text(encoding="utf-8")
        path = ROOT / "constraints" / f"django-{series}.txt"
        path.write_text(HEADER.format(series=series) + pins, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
