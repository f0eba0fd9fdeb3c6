from pathlib import Path

import pytest

from tools.packages import by_name
from tools.test import command, environment, parse

CORE = by_name("channels-core")
REPORT = Path("report.xml")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (None, [])),
        (["--"], (None, [])),
        (["channels-core", "--"], ("channels-core", [])),
        (["channels-core", "--", "-k", "a or b"], ("channels-core", ["-k", "a or b"])),
        (["--", "-x"], (None, ["-x"])),
    ],
)
def test_a_package_and_arguments_are_separated(
    arguments: list[str], expected: tuple[str | None, list[str]]
) -> None:
    assert parse(arguments) == expected


def test_two_packages_at_once_are_refused() -> None:
    with pytest.raises(SystemExit, match="Name at most one package"):
        parse(["channels", "channels-core", "--"])


def test_a_whole_run_has_the_coverage_gate() -> None:
    found = command(CORE, [], REPORT)
    assert {"--cov=channels_core", "--cov-branch", "--cov-fail-under=100"} <= set(found)
    assert "--junit-xml=report.xml" in found


def test_a_part_of_a_run_has_no_gate() -> None:
    found = command(CORE, ["-k", "origin"], REPORT)
    assert not [one for one in found if one.startswith("--cov")]
    assert found[-2:] == ["-k", "origin"]


def test_the_tree_has_no_gate() -> None:
    assert not [one for one in command(None, [], REPORT) if one.startswith("--cov")]


def test_the_tree_runs_side_by_side_unless_arguments_are_given() -> None:
    assert "loadfile" in command(None, [], REPORT)
    assert "loadfile" not in command(None, ["--pdb"], REPORT)


def test_the_settings_of_the_caller_do_not_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.settings")
    monkeypatch.setenv("KEPT", "yes")
    assert "DJANGO_SETTINGS_MODULE" not in environment()
    assert environment()["KEPT"] == "yes"
