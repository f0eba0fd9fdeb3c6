"""Run the hostile tests, and count them by kind.

Hostile tests attack Channels as a stranger would. They are in folders named tests/hostile/, at the
root and in the packages, and are part of `make test`. A file's name begins with the kind of its
tests: those in test_frames.py, and with a real server in test_frames_served.py, are `frames`.

A test that tries many hostile inputs calls pytest's `record_property("inputs", number)`. Any other
test counts as one input.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

from tools import summary
from tools.packages import PACKAGES, ROOT
from tools.test import NO_TESTS, TREE, environment

__all__ = ["KINDS", "Kind", "complaints", "count", "folders", "main", "table"]

REPORTS: Final = summary.REPORTS / "hostile"

#: Each kind must have a test.
KINDS: Final = (
    "origins",
    "headers",
    "cookies",
    "subprotocols",
    "event_stream",
    "sessions",
    "login_tokens",
    "guards",
    "tokens",
    "passwords",
    "layer_messages",
    "frames",
    "parsers",
    "slow_clients",
    "floods",
    "log_lines",
    "deployment",
)


class Kind(NamedTuple):
    """The number of tests of a kind by outcome, and of the hostile inputs that they tried."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    inputs: int = 0

    def __add__(self, other: object) -> "Kind":
        """Return the sum of the two."""
        assert isinstance(other, Kind)
        return Kind(*(mine + yours for mine, yours in zip(self, other, strict=True)))


def folders() -> dict[str, Path]:
    """Return the folders from which pytest runs hostile tests, by title."""
    places = {package.name: package.folder for package in PACKAGES} | {TREE: ROOT}
    return {title: path for title, path in places.items() if (path / "tests" / "hostile").is_dir()}


def count(reports: Iterable[Path]) -> dict[str, Kind]:
    """Count the tests in these reports by kind."""
    found = dict.fromkeys(KINDS, Kind())
    for report in reports:
        root = ElementTree.parse(report).getroot()  # noqa: S314 (pytest wrote it)
        for case in root.iter("testcase"):
            name = _kind(case)
            found[name] = found.get(name, Kind()) + _outcome(case)
    return found


def _kind(case: ElementTree.Element) -> str:
    """Return the kind of a test: `floods` for `tests.hostile.test_floods_served.TestStorm`.

    If a file cannot be imported, pytest reports it as a test without a class.
    """
    where = case.get("classname") or str(case.get("name"))
    file = re.search(r"\bhostile\.test_(\w+)", where)
    name = file[1] if file else where
    return next((kind for kind in KINDS if f"{name}_".startswith(f"{kind}_")), name)


def _outcome(case: ElementTree.Element) -> Kind:
    """Return the count of one test."""
    if case.find("failure") is not None or case.find("error") is not None:
        return Kind(failed=1)
    if case.find("skipped") is not None:
        return Kind(skipped=1)
    inputs = [
        int(one.get("value", 0)) for one in case.iter("property") if one.get("name") == "inputs"
    ]
    return Kind(passed=1, inputs=sum(inputs) if inputs else 1)


def table(found: dict[str, Kind]) -> str:
    """Return the counts as lines of text."""
    total = sum(found.values(), Kind())
    rows: list[tuple[str, ...]] = [("kind", "passed", "failed", "skipped", "inputs")]
    rows += [(name, *map(str, kind)) for name, kind in [*found.items(), ("all", total)]]
    return "\n".join(f"{row[0]:<16}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows)


def complaints(found: dict[str, Kind]) -> list[str]:
    """Return what is wrong with these counts besides failed tests."""
    empty = [name for name in KINDS if not any(found[name])]
    unknown = [name for name in found if name not in KINDS]
    return [f"There is no hostile test of the kind {name}." for name in empty] + [
        f"{name} is not a kind of hostile tests: name the file after one of tools/hostile.py."
        for name in unknown
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the hostile tests, print the counts, and fail if a test failed or a kind has no test.

    Args:
        arguments: Arguments for pytest. They may select some of the tests, so kinds may be empty.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    reports, failed = [], []
    for title, folder in folders().items():
        report = REPORTS / f"{title}.xml"
        report.unlink(missing_ok=True)
        print(f"\n== {title}", flush=True)
        command = (sys.executable, "-m", "pytest", "-q", *summary.options(report), "tests/hostile")
        done = subprocess.run([*command, *given], cwd=folder, env=environment(), check=False)
        if done.returncode and not (given and done.returncode == NO_TESTS):
            failed.append(title)
        if report.is_file():
            reports.append(report)
    found = count(reports)
    print(f"\n{table(found)}", flush=True)
    problems = [] if given else complaints(found)
    if failed:
        problems.append(f"failed: {', '.join(failed)}")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
