import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.packages import ROOT
from tools.suite_table import (
    PROGRAMS,
    TABLE,
    Suite,
    conflicts,
    constraints,
    judge,
    load,
    outcomes,
)

PINS, SUITES = load(TABLE.read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "topics" / "compatibility.md").read_text(encoding="utf-8")

SUITE = Suite("some", "1.0", "aa", "consumers", passed=2)

each_suite = pytest.mark.parametrize("suite", SUITES, ids=str)


class TestTheTable:
    def test_at_least_three_packages_are_compared_with_upstream(self) -> None:
        assert len({suite.name for suite in SUITES if suite.compare}) >= 3

    @each_suite
    def test_each_suite_has_a_digest_and_counts(self, suite: Suite) -> None:
        assert re.fullmatch("[0-9a-f]{64}", suite.sha256)
        assert suite.passed > 0

    @each_suite
    def test_each_failure_has_a_reason(self, suite: Suite) -> None:
        reasons = [*suite.failures.values(), *suite.failures_alike.values()]
        assert all(reason.strip().endswith(".") for reason in reasons)
        assert not suite.failures.keys() & suite.failures_alike.keys()
        if not suite.compare:
            assert not suite.failures_alike

    @each_suite
    def test_requirements_of_the_tests_are_pinned(self, suite: Suite) -> None:
        common = (ROOT / "constraints" / "django-5.2.txt").read_text()
        pinned = {Requirement(line).name for line in constraints(suite, PINS, common).splitlines()}
        assert pinned >= {Requirement(line).name for line in suite.requires}

    def test_each_folder_of_our_own_tests_is_used(self) -> None:
        folders = {folder.name for folder in PROGRAMS.iterdir() if folder.is_dir()}
        assert folders - {"__pycache__"} == {suite.programs for suite in SUITES} - {""}

    @each_suite
    def test_the_page_has_the_same_results(self, suite: Suite) -> None:
        failing = len(suite.failures) + len(suite.failures_alike)
        row = f"| {suite.name} | {suite.version} | {suite.passed} | {failing} | {suite.skipped} |"
        assert row in PAGE
        for test in (*suite.failures, *suite.failures_alike):
            assert f"`{test.rpartition('::')[2].partition('[')[0]}`" in PAGE

    def test_the_page_has_no_other_results(self) -> None:
        rows = re.findall(r"^\| ([\w-]+) \| (\d+\.\d+\.\d+\w*) \|", PAGE, re.MULTILINE)
        assert rows == [(suite.name, suite.version) for suite in SUITES]


COMMON = """\
# Pins.
channels-redis==4.3.0 \\
    --hash=sha256:aa
channels==4.3.2 \\
    --hash=sha256:ab
pytest==9.2.0 \\
    --hash=sha256:ba
sphinx==9.0.4 ; python_full_version < '3.12' \\
    --hash=sha256:bb
sphinx==9.2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:bc
"""


class TestConstraints:
    def test_they_have_no_hashes_and_nothing_of_ours(self) -> None:
        assert constraints(SUITE, ["celery==5.7.0"], COMMON).splitlines() == [
            "celery==5.7.0",
            "channels-redis==4.3.0",
            "pytest==9.2.0",
            "sphinx==9.0.4 ; python_full_version < '3.12'",
            "sphinx==9.2.0 ; python_full_version >= '3.12'",
        ]

    def test_a_suites_own_pins_go_first_and_the_tables_next(self) -> None:
        suite = replace(SUITE, requires=("pytest==8.3.5", "celery"))
        assert constraints(suite, ["Sphinx==8.0"], COMMON).splitlines() == [
            "pytest==8.3.5",
            "Sphinx==8.0",
            "channels-redis==4.3.0",
        ]


REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_good"/>
<testcase classname="tests.test_a" name="test_bad[1]"><failure>it</failure></testcase>
<testcase classname="tests.test_a" name="test_late"/>
<testcase classname="tests.test_a" name="test_late"><error>at its end</error></testcase>
<testcase classname="tests.test_a" name="test_not_here"><skipped/></testcase>
<testcase classname="" name="tests.test_b"><error>cannot be imported</error></testcase>
</testsuite></testsuites>
"""


def test_each_test_has_an_outcome() -> None:
    assert outcomes(REPORT) == {
        "tests.test_a::test_good": "passed",
        "tests.test_a::test_bad[1]": "failed",
        "tests.test_a::test_late": "failed",
        "tests.test_a::test_not_here": "skipped",
        "tests.test_b": "failed",
    }


class TestJudging:
    GOOD = {"a": "passed", "b": "passed"}
    BAD = {**GOOD, "c": "failed"}

    def test_expected_results_have_no_problems(self) -> None:
        assert not list(judge(SUITE, self.GOOD, None))
        known = replace(SUITE, failures={"c": "It waits."})
        assert not list(judge(known, self.BAD, None))
        assert not list(judge(known, self.BAD, {**self.BAD, "c": "passed"}))
        alike = replace(SUITE, failures_alike={"c": "It waits."})
        assert not list(judge(alike, self.BAD, self.BAD))

    def test_an_unexpected_failure_is_named(self) -> None:
        assert list(judge(SUITE, self.BAD, None)) == [
            "c fails",
            "2 passed, 1 failed, but expected 2 passed, 0 failed",
        ]

    def test_an_expected_failure_that_passes_is_named(self) -> None:
        known = replace(SUITE, passed=3, failures={"c": "It waits."})
        assert "c no longer fails" in list(judge(known, {**self.BAD, "c": "passed"}, None))

    def test_missing_tests_are_named(self) -> None:
        assert list(judge(SUITE, {"a": "passed"}, None)) == [
            "1 passed, 0 failed, but expected 2 passed, 0 failed"
        ]

    @pytest.mark.parametrize(
        ("known", "upstream", "said"),
        [
            ({"failures": {"c": "It waits."}}, "failed", "c fails with upstream too"),
            ({"failures_alike": {"c": "It waits."}}, "passed", "c does not fail with upstream"),
        ],
    )
    def test_upstream_decides_whose_failure_it_is(
        self, known: dict[str, dict[str, str]], upstream: str, said: str
    ) -> None:
        suite: Callable[..., Suite] = replace
        judged = judge(suite(SUITE, **known), self.BAD, {**self.BAD, "c": upstream})
        assert list(judged) == [said]


def test_files_are_given_only_where_an_archive_lacks_them() -> None:
    for suite in SUITES:
        for name in suite.files:
            assert not Path(name).is_absolute()
            assert not Path(name).name.startswith("test_")


class TestConflicts:
    REFUSAL = "some-package 1.0 has requirement channels<5.0,>=4.0, but you have channels 5.0.0."
    OTHER = "other 2.0 requires django, which is not installed."

    def test_a_sound_environment_has_no_conflicts(self) -> None:
        assert conflicts(SUITE, "No broken requirements found.\n") == []

    def test_a_package_that_is_installed_alone_may_refuse_our_version(self) -> None:
        suite = replace(SUITE, name="some_package", alone=True)
        assert conflicts(suite, f"{self.REFUSAL}\n{self.OTHER}\n") == [self.OTHER]

    def test_it_may_refuse_our_django(self) -> None:
        suite = replace(SUITE, name="some_package", alone=True)
        refusal = "some-package 1.0 has requirement Django<5,>=4, but you have django 5.2.19."
        assert conflicts(suite, refusal) == []
        older = "some-package 1.0 has requirement channels<4, but you have channels 4.3.2."
        assert conflicts(suite, older) == [older]

    def test_no_other_package_may_refuse_it(self) -> None:
        assert conflicts(replace(SUITE, name="some-package"), self.REFUSAL) == [self.REFUSAL]
        assert conflicts(replace(SUITE, alone=True), self.REFUSAL) == [self.REFUSAL]
