"""The table of public packages' test suites, and the comparison of a run with it."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from tools.lock import name_of
from tools.packages import PACKAGES, ROOT
from tools.summary import Counts

__all__ = [
    "PROGRAMS",
    "TABLE",
    "Suite",
    "conflicts",
    "constraints",
    "count",
    "failed",
    "judge",
    "load",
    "outcomes",
]

TABLE: Final = Path(__file__).with_name("suites.toml")
#: Our tests of packages whose archives contain none.
PROGRAMS: Final = ROOT / "tests" / "suites"


@dataclass(frozen=True, slots=True)
class Suite:
    """One package, and how its tests run.

    Attributes:
        name: The distribution.
        version: Its version.
        sha256: Of its source archive, or of its wheel.
        what: What it uses of `channels`, for readers.
        passed: How many of its tests pass.
        skipped: How many skip themselves.
        run: Arguments for pytest.
        requires: What its tests need besides the package.
        environment: Environment variables for its tests.
        files: Files that its tests need and the archive lacks, by path.
        failures: Tests that fail only with ours, with the reason.
        failures_alike: Tests that fail with upstream too, with the reason.
        wheel: Whether to use its wheel, because the archive needs a compiler.
        alone: Whether to install it without its requirements, which exclude `channels` 5.
        programs: The folder in tests/suites with our tests of it, if its archive has none.
        needs_redis: Whether its tests expect Redis at its usual ports.
        needs_rabbitmq: Whether its tests expect RabbitMQ at its usual port.
        compare: Whether its tests can run with upstream's current version.
    """

    name: str
    version: str
    sha256: str
    what: str
    passed: int
    skipped: int = 0
    run: tuple[str, ...] = ("tests",)
    requires: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    failures_alike: Mapping[str, str] = field(default_factory=dict)
    wheel: bool = False
    alone: bool = False
    programs: str = ""
    needs_redis: bool = False
    needs_rabbitmq: bool = False
    compare: bool = True

    def __str__(self) -> str:
        """Return the name with the version."""
        return f"{self.name} {self.version}"


def load(text: str) -> tuple[list[str], list[Suite]]:
    """Return the pins and the suites of a table."""
    table = tomllib.loads(text)
    return table["pins"], [Suite(**_frozen(one)) for one in table["suite"]]


def _frozen(row: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(one) if isinstance(one, list) else one for key, one in row.items()}


def constraints(suite: Suite, pins: Iterable[str], common: str) -> str:
    """Return the constraints for a suite: its own pins, then the table's, then the tree's.

    Args:
        suite: The suite.
        pins: The pins of the table.
        common: The text of the tree's constraints; their hashes are dropped.
    """
    chosen: dict[str, str] = {}
    tree = re.findall(r"^[a-z0-9][^\s\\]*==[^\s\\]+(?: ; [^\\\n]+)?", common, flags=re.MULTILINE)
    own = [line for line in suite.requires if "==" in line]
    # A name with markers has several lines. An earlier source replaces all of them.
    for source in (own, pins, tree):
        lines: dict[str, list[str]] = {}
        for line in source:
            lines.setdefault(name_of(line), []).append(line.strip())
        for name, found in lines.items():
            chosen.setdefault(name, "\n".join(found))
    siblings = {package.name for package in PACKAGES}
    return "".join(f"{line}\n" for name, line in chosen.items() if name not in siblings)


def conflicts(suite: Suite, report: str) -> list[str]:
    """Return the conflicts that `pip check` reports, without the known ones.

    Args:
        suite: The suite; if it is installed `alone`, it may exclude `channels` 5 and our Django.
        report: The output of `pip check`.
    """
    package = re.escape(name_of(suite.name))
    known = rf"{package} \S+ has requirement (?i:channels\b.* channels 5\.|django\b.* django ).*"
    lines = [
        line for line in report.splitlines() if line and line != "No broken requirements found."
    ]
    if not suite.alone:
        return lines
    return [line for line in lines if not re.fullmatch(known, line)]


def outcomes(report: str) -> dict[str, str]:
    """Return how each test of a JUnit report ended: `passed`, `failed` or `skipped`."""
    found: dict[str, str] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):  # noqa: S314 (pytest wrote it)
        kinds = {child.tag for child in case}
        ended = "failed" if kinds & {"failure", "error"} else "passed"
        if "skipped" in kinds:
            ended = "skipped"
        identity = f"{case.get('classname')}::{case.get('name')}".removeprefix("::")
        # A test that passes and whose teardown fails is listed twice.
        found[identity] = max(ended, found.get(identity, ""), key=_GRAVITY.index)
    return found


_GRAVITY: Final = ("", "skipped", "passed", "failed")


def judge(
    suite: Suite, ours: Mapping[str, str], upstream: Mapping[str, str] | None
) -> Iterator[str]:
    """Yield the differences between the runs and the table.

    Args:
        suite: The suite.
        ours: The outcome of each test with ours.
        upstream: The outcome with upstream's, if it was run.
    """
    bad = failed(ours)
    known = {*suite.failures, *suite.failures_alike}
    yield from (f"{one} fails" for one in sorted(bad - known))
    yield from (f"{one} no longer fails" for one in sorted(known - bad))
    counts = count(ours)
    expected = Counts(suite.passed, len(known), suite.skipped)
    if counts != expected:
        yield f"{counts}, but expected {expected}"
    if upstream is not None:
        theirs = failed(upstream)
        yield from (f"{one} fails with upstream too" for one in sorted(theirs & {*suite.failures}))
        healthy = {*suite.failures_alike} - theirs
        yield from (f"{one} does not fail with upstream" for one in sorted(healthy))


def failed(ended: Mapping[str, str]) -> set[str]:
    """Return the tests that failed."""
    return {one for one, how in ended.items() if how == "failed"}


def count(ended: Mapping[str, str]) -> Counts:
    """Count how the tests ended."""
    how = list(ended.values())
    return Counts(how.count("passed"), how.count("failed"), how.count("skipped"))
