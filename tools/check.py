"""Check format and style (ruff) and types (mypy, and pyright as users run it)."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tools import pyright
from tools.packages import ROOT, by_name, select

__all__ = ["Typed", "lint_commands", "main", "typed"]


class Typed(NamedTuple):
    """What one mypy process checks.

    Each package has its own process, because test modules of several packages have the same name.
    """

    folder: Path
    paths: tuple[str, ...]
    search: tuple[str, ...]
    settings: str


def typed(name: str | None) -> list[Typed]:
    """Return what to check for one package, or for the whole tree when none is named."""
    found = [
        Typed(package.folder, ("src", "tests"), ("src", "tests"), "settings")
        for package in select(name)
    ]
    if name is None:
        shown = "examples/chat"  # The snippets use its models as those of a program.
        found += [
            Typed(
                ROOT, ("tools", "tests", "docs", "benchmarks"), ("tests", ".", shown), "settings"
            ),
            Typed(ROOT / shown, (".",), (".",), "chatsite.settings"),
            Typed(ROOT / "examples/first_chat", (".",), (".",), "chatsite.settings"),
        ]
    return found


def lint_commands(name: str | None, *, rewrite: bool) -> list[list[str]]:
    """Return the ruff commands that check the code, or that fix what they can."""
    path = str(by_name(name).folder) if name else "."
    if rewrite:
        return [["ruff", "check", "--fix", path], ["ruff", "format", path]]
    return [["ruff", "format", "--check", path], ["ruff", "check", path]]


def _ruff(name: str | None, *, rewrite: bool) -> list[int]:
    """Run the ruff commands and return their statuses."""
    return [
        subprocess.run(command, cwd=ROOT, check=False).returncode
        for command in lint_commands(name, rewrite=rewrite)
    ]


def _mypy(part: Typed) -> int:
    """Check the types of one part and return mypy's status."""
    print(f"{part.folder.relative_to(ROOT.parent)}: ", end="", flush=True)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": part.settings,
        "MYPYPATH": os.pathsep.join(str(part.folder / path) for path in part.search),
    }
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    return subprocess.run(
        [*command, *part.paths], cwd=part.folder, env=environment, check=False
    ).returncode


def main() -> None:
    """Run the check in the first argument, for the package in the second, or for all."""
    check, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    if check == "types":
        statuses = [_mypy(part) for part in typed(name)]
        statuses += [int(not pyright.verify(package)) for package in select(name)]
        if name is None:
            statuses.append(pyright.check_programs())
    else:
        statuses = _ruff(name, rewrite=check == "format")
    if any(statuses):
        sys.exit(1)


if __name__ == "__main__":
    main()
