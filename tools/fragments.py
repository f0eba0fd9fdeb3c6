"""The changelog fragments of a package, and what its changelog says was released."""

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

from tools.packages import Package
from tools.versions import FRAGMENTS, parse

__all__ = ["faulty", "kinds", "last_entry"]


def _files(package: Package) -> list[Path]:
    """Return the files that should be fragments: all that towncrier could take for one."""
    folder = package.folder / "changelog.d"
    # Without a .gitignore, git would drop the folder when it has no fragments.
    return sorted(path for path in folder.glob("*") if path.name != ".gitignore")


def _kind(path: Path) -> str | None:
    """Return the kind of a fragment, or None if its name is not that of one."""
    match path.name.split("."):
        case [name, kind, "md"] if name and kind in FRAGMENTS:
            return kind
    return None


def kinds(package: Package) -> list[str]:
    """Return the kinds of a package's changelog fragments."""
    return [kind for path in _files(package) if (kind := _kind(path))]


def faulty(package: Package) -> Iterator[str]:
    """Yield why files among the fragments are none.

    towncrier says nothing: it leaves out what it does not know, takes `+x.fix` and `.+x.fix.md.swp`
    as well, and makes an empty entry of an empty file.
    """
    for path in _files(package):
        place = path.relative_to(package.folder)
        if _kind(path) is None:
            *others, last = FRAGMENTS
            yield (
                f"{place} is no changelog fragment: name it +WORD.KIND.md, where the kind is "
                f"{', '.join(others)} or {last}"
            )
        elif not path.is_file():
            yield f"{place} is not a file"
        elif not path.read_bytes().strip():
            yield f"{place} is empty: write there what users notice"


def last_entry(package: Package) -> Version | None:
    """Return the version of the first entry in a package's changelog, or None if it has none."""
    path = package.folder / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^## (\d+\.\d+\.\d+)\b", text, re.MULTILINE)
    return parse(found[1]) if found else None
