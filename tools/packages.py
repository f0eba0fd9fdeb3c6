"""The table of distributions, which all tools and tests read.

It uses only the standard library, because it is read before anything is installed.
"""

import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

__all__ = [
    "DJANGO",
    "PACKAGES",
    "PYTHON",
    "ROOT",
    "UNTRIED_PYTHON",
    "Package",
    "by_name",
    "select",
    "with_needs",
]

ROOT: Final = Path(__file__).resolve().parent.parent

#: The supported versions of Python, oldest first.
PYTHON: Final = ((3, 11), (3, 12), (3, 13), (3, 14))

#: Those that no test run has shown to work. The classifiers do not name them.
UNTRIED_PYTHON: Final = frozenset({(3, 14)})

#: The supported Django series, with the oldest Python that each runs on.
DJANGO: Final = {"5.2": (3, 11), "6.0": (3, 12), "6.1": (3, 12)}


@dataclass(frozen=True, slots=True)
class Package:
    """One distribution of the tree, and the siblings that it needs."""

    name: str
    needs: tuple[str, ...] = ()
    root: Path = ROOT

    @property
    def import_name(self) -> str:
        """Return the name that programs import."""
        return self.name.replace("-", "_")

    @property
    def folder(self) -> Path:
        """Return the folder of its pyproject.toml."""
        return self.root / "packages" / self.name

    @property
    def source(self) -> Path:
        """Return the folder of its import package."""
        return self.folder / "src" / self.import_name

    def at(self, root: Path) -> Self:
        """Return this package in another checkout of the tree."""
        return replace(self, root=root)

    def pyproject(self) -> dict[str, Any]:
        """Return its parsed pyproject.toml."""
        return tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))


#: Each one comes after the siblings that it needs.
PACKAGES: Final = (
    Package("channels-core"),
    Package("channels-auth", needs=("channels-core",)),
    Package("channels-http", needs=("channels-core",)),
    Package("channels-testing", needs=("channels-core",)),
    Package("channels-layers-memory", needs=("channels-core",)),
    Package("channels-layers-redis", needs=("channels-core",)),
    Package(
        "channels",
        needs=(
            "channels-core",
            "channels-auth",
            "channels-http",
            "channels-testing",
            "channels-layers-memory",
        ),
    ),
)


def by_name(name: str) -> Package:
    """Return the package of that name, or exit with the list of names."""
    for package in PACKAGES:
        if package.name == name:
            return package
    names = ", ".join(package.name for package in PACKAGES)
    sys.exit(f"There is no package named {name!r}: choose one of {names}.")


def select(name: str | None) -> tuple[Package, ...]:
    """Return the package of that name, or all packages if the name is empty or None."""
    return (by_name(name),) if name else PACKAGES


def with_needs(package: Package) -> tuple[Package, ...]:
    """Return the package after all the siblings it needs, directly or through another."""
    wanted = {package.name}
    for other in reversed(PACKAGES):
        if other.name in wanted:
            wanted.update(other.needs)
    return tuple(other.at(package.root) for other in PACKAGES if other.name in wanted)
