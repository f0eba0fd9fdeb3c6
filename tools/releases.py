"""The releases of the packages: their tags, and what the tree was at a tag."""

import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools.build import build
from tools.lock import name_of
from tools.packages import PACKAGES, Package, by_name, with_needs
from tools.versions import parse, pick

__all__ = [
    "built",
    "checkout",
    "fitting",
    "git",
    "of_tag",
    "ranges",
    "releases",
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


def ranges(pyproject: Mapping[str, Any]) -> dict[str, SpecifierSet]:
    """Return the ranges of siblings that a package requires, without those of its extras."""
    required = map(Requirement, pyproject["project"]["dependencies"])
    return {name_of(one.name): one.specifier for one in required if name_of(one.name) in SIBLINGS}


def fitting(package: Package, choose: Callable[..., Version]) -> dict[str, Version]:
    """Return a release of each sibling that a package of the tree needs.

    Args:
        package: The package.
        choose: `min` for the oldest that fit together, `max` for the newest.

    Raises:
        NoRelease: No release of a sibling fits.
    """

    def requires(name: str, version: Version) -> dict[str, SpecifierSet]:
        tag = tag_of(by_name(name), version)
        text = git(package.root, "show", f"{tag}:packages/{name}/pyproject.toml")
        return ranges(tomllib.loads(text))

    known = {one.name: releases(one) for one in with_needs(package)}
    return pick(package, ranges(package.pyproject()), known, requires, choose)


@contextmanager
def checkout(root: Path, tag: str) -> Iterator[Path]:
    """Check out a tag beside the tree for the block, and give the folder."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "tree")
        git(root, "worktree", "add", "--quiet", "--detach", str(folder), tag)
        try:
            yield folder
        finally:
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
            checkout(package.root, tag) as folder,
            tempfile.TemporaryDirectory(dir=target.parent) as temporary,
        ):
            build(package.at(folder), Path(temporary, "files"))
            Path(temporary, "files").rename(target)
    (archive,), (wheel,) = target.glob("*.tar.gz"), target.glob("*.whl")
    return archive, wheel
