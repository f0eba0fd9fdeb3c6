"""What in a tree cannot be read, so that a release would end in a traceback."""

import ast
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from tools.packages import PACKAGES, Package

__all__ = ["unreadable"]


def unreadable(package: Package) -> Iterator[str]:
    """Yield what cannot be read of a package's source and of the metadata of all packages."""
    # All, because their ranges have to admit the package.
    for other in PACKAGES:
        yield from _metadata(other.at(package.root))
    for path in sorted(package.source.rglob("*.py")):
        if told := _syntax(path):
            yield f"{path.relative_to(package.root)}{told}"


def _metadata(package: Package) -> Iterator[str]:
    place = (package.folder / "pyproject.toml").relative_to(package.root)
    try:
        project = package.pyproject()["project"]
    # Text that is not UTF-8 is a ValueError, as an error of TOML is.
    except ValueError as error:
        yield f"{place}: {error}"
        return
    lines = [*project.get("dependencies", [])]
    for extra in project.get("optional-dependencies", {}).values():
        lines += extra
    for line in lines:
        try:
            Requirement(line)
        except InvalidRequirement as error:
            # The next lines of its text point at the place.
            yield f"{place}: {line!r} is not a requirement: {str(error).splitlines()[0]}"


def _syntax(path: Path) -> str | None:
    """Return the place and the reason if Python cannot read a module."""
    try:
        ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return f":{error.lineno}: {error.msg}"
    except ValueError as error:
        return f": {error}"
    return None
