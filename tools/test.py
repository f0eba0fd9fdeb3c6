"""Run the tests: each package in its own process, then the tests of the whole tree.

Every package must reach full branch coverage from its own tests. The results are written as JUnit
XML to build/reports/, where tools.summary reads them.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import summary
from tools.packages import ROOT, Package, select

__all__ = ["command", "environment", "main", "parse"]

REPORTS = summary.REPORTS / "test"
TREE = "tree"  # `make test P=tree` runs the tests in the root's tests/.
PACKAGES = "packages"  # `make test P=packages` runs the others.
NO_TESTS = 5  # The exit status of pytest if it ran no test.
#: The tree's tests mostly wait, for servers and browsers. A module is run by one process, so what
#: its fixtures start is started once.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile")


def parse(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split `[package] -- [pytest arguments]`."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    before, after = arguments[:at], list(arguments[at + 1 :])
    if len(before) > 1:
        sys.exit(f"Name at most one package, not {len(before)}: {' '.join(before)}")
    return (before[0] if before else None), after


def command(package: Package | None, arguments: Sequence[str], report: Path) -> list[str]:
    """Return the pytest command for one package, or for the tests of the tree.

    Arguments switch the coverage gate off, because they may select only some tests, and run the
    tree's tests in one process, because they may start a debugger.
    """
    whole = (
        [
            f"--cov={package.import_name}",
            "--cov-branch",
            f"--cov-config={ROOT / 'pyproject.toml'}",
            "--cov-report=term",
            "--cov-fail-under=100",
        ]
        if package
        else SIDE_BY_SIDE
    )
    return [
        *(sys.executable, "-m", "pytest", "-q"),
        *summary.options(report),
        *(arguments or whole),
    ]


def environment() -> dict[str, str]:
    """Return the environment without variables that would override a package's settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"DJANGO_SETTINGS_MODULE", "PYTEST_ADDOPTS", "PYTHONPATH"}
    }


def main() -> None:
    """Run the named tests, sum up, and fail if any failed."""
    name, arguments = parse(sys.argv[1:])
    wanted = None if name == PACKAGES else name
    groups: list[Package | None] = [] if name == TREE else [*select(wanted)]
    if name in {None, TREE}:
        groups.append(None)
    reports, failed = [], []
    for package in groups:
        title = package.name if package else TREE
        report = REPORTS / f"{title}.xml"
        report.unlink(missing_ok=True)
        print(f"\n== {title}", flush=True)
        done = subprocess.run(
            command(package, arguments, report),
            cwd=package.folder if package else ROOT,
            env=environment(),
            check=False,
        )
        # Arguments such as `-k` may select no test of a package. A whole run must have tests.
        if done.returncode and not (arguments and done.returncode == NO_TESTS):
            failed.append(title)
        reports.append(report)
    print()
    summary.show([report for report in reports if report.is_file()])
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
