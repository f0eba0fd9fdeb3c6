from pathlib import Path

import pytest

from tools import summary
from tools.summary import Counts, count, main


def report(
    path: Path,
    tests: int,
    failures: int = 0,
    errors: int = 0,
    skipped: int = 0,
    cases: str = "",
) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'<testsuites><testsuite name="pytest" errors="{errors}" failures="{failures}"'
        f' skipped="{skipped}" tests="{tests}">{cases}</testsuite></testsuites>'
    )
    return path


def test_reports_are_added_up(tmp_path: Path) -> None:
    first = report(tmp_path / "a.xml", 5, failures=1)
    second = report(tmp_path / "b.xml", 7, errors=1, skipped=2)
    assert count([first, second]) == Counts(passed=8, failed=2, skipped=2)


def test_an_expected_failure_is_not_counted_as_skipped(tmp_path: Path) -> None:
    cases = '<testcase><skipped type="pytest.xfail" message="a known fault"/></testcase>'
    path = report(tmp_path / "a.xml", 5, skipped=2, cases=cases)
    assert count([path]) == Counts(passed=3, failed=0, skipped=1, xfailed=1)
    assert str(count([path])) == "3 passed, 0 failed, 1 skipped, 1 xfailed"


def test_the_closing_line_names_skipped_tests_when_there_are_any() -> None:
    assert str(Counts(3, 0, 0)) == "3 passed, 0 failed"
    assert str(Counts(3, 1, 2)) == "3 passed, 1 failed, 2 skipped"


def test_all_reports_are_summed_up_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(summary, "REPORTS", tmp_path)
    report(tmp_path / "test" / "a.xml", 2)
    report(tmp_path / "isolated" / "a.xml", 1)
    main()
    assert capsys.readouterr().out == "3 passed, 0 failed\n"


def test_no_report_at_all_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "REPORTS", tmp_path)
    with pytest.raises(SystemExit, match="no test has run"):
        main()
