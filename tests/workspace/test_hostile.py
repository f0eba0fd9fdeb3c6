import subprocess
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tools import hostile
from tools.hostile import KINDS, Kind, complaints, count, main, table
from tools.packages import ROOT


def case(classname: str, inside: str = "", name: str = "test_it") -> str:
    return f'<testcase classname="{classname}" name="{name}">{inside}</testcase>'


def report(folder: Path, *cases: str) -> Path:
    path = folder / "tree.xml"
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


def inputs(number: int) -> str:
    return f'<properties><property name="inputs" value="{number}"/></properties>'


def test_tests_are_counted_by_the_name_of_their_file(tmp_path: Path) -> None:
    path = report(
        tmp_path,
        case("tests.hostile.test_floods", inputs(40)),
        case("tests.hostile.test_floods_http2_served.TestStorm"),
        case("tests.hostile.test_event_stream", "<failure/>"),
        case("tests.hostile.test_frames_served", "<skipped/>"),
    )
    found = count([path])
    assert found["floods"] == Kind(passed=2, inputs=41)
    assert found["event_stream"] == Kind(failed=1)
    assert found["frames"] == Kind(skipped=1)
    assert found["origins"] == Kind()
    lines = table(found).splitlines()
    assert lines[-1].split() == ["all", "2", "1", "1", "41"]
    assert len(lines) == len(KINDS) + 2


def test_a_file_that_cannot_be_imported_is_a_failure_of_its_kind(tmp_path: Path) -> None:
    path = report(tmp_path, case("", "<error/>", name="tests.hostile.test_tokens"))
    assert count([path])["tokens"] == Kind(failed=1)


def test_a_kind_without_a_test_is_named() -> None:
    found = dict.fromkeys(KINDS, Kind(passed=1)) | {"floods": Kind()}
    assert complaints(found) == ["There is no hostile test of the kind floods."]


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    found = dict.fromkeys(KINDS, Kind(passed=1))
    found |= {"tokens": Kind(1), **count([report(tmp_path, case("tests.hostile.test_toknes"))])}
    assert [line.split()[0] for line in complaints(found) if "not a kind" in line] == ["toknes"]


def run(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *cases: str, status: int = 0
) -> list[list[str]]:
    """Let pytest report these tests of the only kind, and return its commands."""
    commands = []

    def reported(command: list[str], **_: object) -> CompletedProcess[str]:
        commands.append(command)
        report(folder, *cases)
        return CompletedProcess(command, status)

    monkeypatch.setattr(hostile, "REPORTS", folder)
    monkeypatch.setattr(hostile, "KINDS", ("floods",))
    monkeypatch.setattr(hostile, "folders", lambda: {"tree": folder})
    monkeypatch.setattr(subprocess, "run", reported)
    return commands


FLOOD = case("tests.hostile.test_floods", inputs(7))


def test_the_counts_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = run(monkeypatch, tmp_path, FLOOD)
    main([])
    assert commands[0][-1] == "tests/hostile"
    assert "floods                  1        0        0        7\n" in capsys.readouterr().out


def test_a_failed_test_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, FLOOD, status=1)
    with pytest.raises(SystemExit, match="failed: tree"):
        main([])


def test_arguments_may_select_no_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = run(monkeypatch, tmp_path, status=5)
    main(["-k", "another"])
    assert commands[0][-2:] == ["-k", "another"]


def test_a_whole_run_needs_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, tmp_path, status=5)
    with pytest.raises(SystemExit, match="There is no hostile test of the kind floods"):
        main([])


def test_the_folders_are_those_of_the_root_and_the_packages() -> None:
    found = hostile.folders()
    assert found["tree"] == ROOT
    assert all((folder / "tests" / "hostile").is_dir() for folder in found.values())
