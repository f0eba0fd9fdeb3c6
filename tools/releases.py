"""The releases of the packages: their tags, and what the tree was at a tag."""

import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.build import build
from tools.lock import name_of
from tools.packages import PACKAGES, Package, by_name
from tools.stopping import undisturbed
from tools.versions import parse, pick

__all__ = [
    "built",
    "checkout",
    "extras_of",
    "fitting",
    "git",
    "of_tag",
    "ranges",
    "released",
    "releases",
    "siblings",
    "tag_of",
]

SIBLINGS: Final = frozenset(package.name for package in PACKAGES)


def git(root: Path, *arguments: str) -> str:
    """Run git in a checkout and return its output, or raise with its error."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def tag_of(package: Package, version: Version) -> str:
    """Return the tag of a release."""
    return f"{package.name}-v{version}"


def of_tag(tag: str) -> tuple[Package, Version] | None:
    """Return the package and the version that a tag names, or None if it names no release."""
    name, _, number = tag.rpartition("-v")
    version = parse(number)
    return (by_name(name), version) if version and name in SIBLINGS else None


def releases(package: Package) -> list[Version]:
    """Return the releases that the current commit contains, oldest first."""
    lines = git(package.root, "tag", "--merged", "HEAD", "--list", f"{package.name}-v*")
    return sorted(found[1] for line in lines.split() if (found := of_tag(line)))


def siblings(pyproject: Mapping[str, Any], extras: Iterable[str] = ()) -> list[Requirement]:
    """Return what a package requires of siblings, for itself and for these of its extras."""
    project = pyproject["project"]
    lines = [*project.get("dependencies", [])]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [one for one in map(Requirement, lines) if name_of(one.name) in SIBLINGS]


def extras_of(pyproject: Mapping[str, Any]) -> list[str]:
    """Return the names of a package's extras."""
    return [*pyproject["project"].get("optional-dependencies", {})]


def ranges(pyproject: Mapping[str, Any], extras: Iterable[str] = ()) -> dict[str, SpecifierSet]:
    """Return the ranges of siblings that a package requires, for itself and for these extras."""
    found: dict[str, SpecifierSet] = {}
    for one in siblings(pyproject, extras):
        name = name_of(one.name)
        found[name] = found.get(name, SpecifierSet()) & one.specifier
    return found


def fitting(
    package: Package, choose: Callable[..., Version], extras: Iterable[str] = ()
) -> dict[str, Version]:
    """Return a release of each sibling that a package of the tree needs.

    Args:
        package: The package.
        choose: `min` for the oldest that fit together, `max` for the newest.
        extras: Extras of the package whose siblings are needed, too.

    Raises:
        NoRelease: No release of a sibling fits.
    """

    def requires(name: str, version: Version) -> dict[str, SpecifierSet]:
        return ranges(released(by_name(name).at(package.root), version))

    # Of all, because an extra may need one that the package itself does not.
    known = {one.name: releases(one.at(package.root)) for one in PACKAGES}
    return pick(package, ranges(package.pyproject(), extras), known, requires, choose)


def released(package: Package, version: Version) -> dict[str, Any]:
    """Return the parsed pyproject.toml of a release."""
    file = f"packages/{package.name}/pyproject.toml"
    return tomllib.loads(git(package.root, "show", f"{tag_of(package, version)}:{file}"))


@contextmanager
def checkout(root: Path, tag: str) -> Iterator[Path]:
    """Check out a tag beside the tree for the block, and give the folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "tree")
        try:
            # A git that is stopped halfway leaves an entry in the list of worktrees.
            with undisturbed():
                git(root, "worktree", "add", "--quiet", "--detach", str(folder), tag)
            yield folder
        finally:
            if folder.exists():
                with undisturbed():
                    git(root, "worktree", "remove", "--force", str(folder))


def built(package: Package, version: Version) -> tuple[Path, Path]:
    """Return the source archive and the wheel of a release, which is built once from its tag."""
    tag = tag_of(package, version)
    commit = git(package.root, "rev-list", "-n", "1", tag).strip()
    # By commit: a tag that was never pushed may be set again.
    target = package.root / "build" / "releases" / f"{tag}-{commit[:12]}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            # A build that Ctrl-C stops would print its traceback.
            undisturbed(),
            checkout(package.root, tag) as folder,
            tempfile.TemporaryDirectory(dir=target.parent) as temporary,
        ):
            build(package.at(folder), Path(temporary, "files"))
            Path(temporary, "files").rename(target)
    (archive,), (wheel,) = target.glob("*.tar.gz"), target.glob("*.whl")
    return archive, wheel
