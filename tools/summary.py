"""Sum up test runs from their JUnit XML: `12 passed, 0 failed, 1 skipped`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

from tools.packages import ROOT

__all__ = ["REPORTS", "Counts", "count", "options", "show"]

REPORTS: Final = ROOT / "build" / "reports"


class Counts(NamedTuple):
    """The number of tests by outcome."""

    passed: int
    failed: int
    skipped: int
    xfailed: int = 0

    def __str__(self) -> str:
        """Return the closing line."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        xfailed = f", {self.xfailed} xfailed" if self.xfailed else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}{xfailed}"


def options(report: Path) -> tuple[str, ...]:
    """Return the options with which pytest writes a report."""
    # In this form, a test may record properties. In the other one, that is a warning.
    return (f"--junit-xml={report}", "-o", "junit_family=xunit1")


def count(reports: Iterable[Path]) -> Counts:
    """Count the tests in these reports.

    An error counts as a failure. An expected failure is reported as skipped in the XML, and counted
    separately here.
    """
    total = failed = skipped = xfailed = 0
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 (pytest wrote it)
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
            xfailed += sum(one.get("type") == "pytest.xfail" for one in suite.iter("skipped"))
    passed = max(total - failed - skipped, 0)
    return Counts(passed, failed, skipped - xfailed, xfailed)


def show(reports: Iterable[Path]) -> None:
    """Print the closing line for these reports."""
    print(count(reports), flush=True)


def main() -> None:
    """Sum up all reports in build/reports/, and fail if there are none."""
    reports = sorted(REPORTS.glob("*/*.xml"))
    if not reports:
        sys.exit("There are no reports in build/reports: no test has run.")
    show(reports)


if __name__ == "__main__":
    main()
