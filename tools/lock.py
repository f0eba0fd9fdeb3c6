"""Write the constraints: third-party pins with hashes, one file for each Django series.

The requirements come from the packages' pyproject.toml files and from two lists in constraints/:
test.in (for the tests of packages) and dev.in (everything else that developers run). `make traced`
has its own pins, for traced.in, and so has each peer of the benchmarks, in benchmarks/pins/. The
files contain no index, no link and no path, so they work with every mirror.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.packages import DJANGO, PACKAGES, ROOT

__all__ = [
    "HEADER",
    "PEERS",
    "PEER_HEADER",
    "TRACED",
    "TRACED_HEADER",
    "main",
    "name_of",
    "peer_requirements",
    "requirements",
    "third_party",
    "traced_requirements",
]

HEADER = "# Third-party pins for Django {series}: `make lock` writes this file.\n"

#: The pins of the environment of `make traced`, and the Django series in it.
TRACED = ROOT / "constraints" / "traced.txt"
TRACED_HEADER = "# Third-party pins for `make traced`: `make lock` writes this file.\n"
TRACED_DJANGO = "5.2"

#: The pins of the peers of the benchmarks, by name; they have the same Django series.
PEERS = {
    path.stem: path.with_suffix(".txt")
    for path in sorted((ROOT / "benchmarks" / "pins").glob("*.in"))
}
PEER_HEADER = "# Third-party pins of a peer of the benchmarks: `make lock` writes this file.\n"
#: The peer whose `channels` is the published one.
UPSTREAM = "upstream"


#: The `channels` that channels-redis requires is in this tree.
OURS = ("--no-emit-package", "channels")


def name_of(requirement: str) -> str:
    """Return the normalised name of the distribution that a requirement asks for."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    if found is None:
        sys.exit(f"This is not a requirement: {requirement!r}")
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def third_party() -> list[str]:
    """Return the third-party requirements of the packages and their extras."""
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
    """Return all requirements for this Django series, one per line."""
    return "\n".join([*third_party(), f"Django=={series}.*", _list("test"), _list("dev")])


def traced_requirements() -> str:
    """Return all requirements of the environment of `make traced`, one per line."""
    return "\n".join([*third_party(), f"Django=={TRACED_DJANGO}.*", _list("traced")])


def peer_requirements(peer: str) -> str:
    """Return all requirements of the environment of a peer of the benchmarks, one per line."""
    return PEERS[peer].with_suffix(".in").read_text(encoding="utf-8")


def _list(name: str) -> str:
    return (ROOT / "constraints" / f"{name}.in").read_text(encoding="utf-8")


def _write(path: Path, header: str, wanted: str, oldest: tuple[int, int], *options: str) -> None:
    """Resolve the requirements and write one file.

    Args:
        path: The file.
        header: Its first line.
        wanted: The requirements.
        oldest: The oldest Python that the pins must work with.
        options: More options for uv.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "all.in"), Path(folder, "all.txt")
        source.write_text(wanted, encoding="utf-8")
        command = [
            *("uv", "pip", "compile", "--quiet", "--no-config", "--system-certs", "--upgrade"),
            *("--universal", "--python-version", ".".join(map(str, oldest))),
            *("--generate-hashes", "--no-header", "--no-annotate"),
            *options,
            *("--output-file", str(target), str(source)),
        ]
        if subprocess.run(command, cwd=folder, check=False).returncode:
            sys.exit(f"uv could not resolve {path.name}.")
        pins = target.read_text(encoding="utf-8")
    path.write_text(header + pins, encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def main() -> None:
    """Write the constraints of each series, of `make traced` and of the benchmarks' peers."""
    paths = {series: ROOT / "constraints" / f"django-{series}.txt" for series in DJANGO}
    for series, oldest in DJANGO.items():
        header = HEADER.format(series=series)
        _write(paths[series], header, requirements(series), oldest, *OURS)
    # The same versions in both, so that the traced versions are the tested ones.
    common = ("--constraint", str(paths[TRACED_DJANGO]))
    _write(TRACED, TRACED_HEADER, traced_requirements(), DJANGO[TRACED_DJANGO], *common)
    for peer, path in PEERS.items():
        options = common if peer == UPSTREAM else (*common, *OURS)
        _write(path, PEER_HEADER, peer_requirements(peer), DJANGO[TRACED_DJANGO], *options)


if __name__ == "__main__":
    main()
