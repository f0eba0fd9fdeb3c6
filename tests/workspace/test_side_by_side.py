import pytest

from tools import side_by_side
from tools.side_by_side import lanes, run_lane


def test_an_argument_is_a_lane_of_targets() -> None:
    assert lanes(["test P=tree", "isolated, docs"]) == [["test P=tree"], ["isolated", "docs"]]


def test_a_target_that_fails_does_not_stop_the_next() -> None:
    shown: list[str] = []
    assert run_lane(["no-such-target", "help"], shown.append) == ["no-such-target"]
    first, second = shown
    assert "No rule to make target" in first
    assert "==== make no-such-target: exit code 2, " in first
    assert "Print this list" in second
    assert "==== make help: passed, " in second


def test_a_failure_is_named_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["side_by_side", "help", "no-such-target, help"])
    with pytest.raises(SystemExit, match="failed: make no-such-target"):
        side_by_side.main()
    assert capsys.readouterr().out.count("==== make help: passed") == 2


def test_nothing_is_printed_if_nothing_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["side_by_side", "help"])
    side_by_side.main()
