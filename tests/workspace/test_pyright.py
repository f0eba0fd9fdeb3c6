from pathlib import Path
from typing import Any

import pytest

from tools import pyright
from tools.packages import Package, by_name
from tools.pyright import PROGRAMS, check_programs, problems, verify


def symbol(name: str, *, known: bool = True, ambiguous: bool = False) -> dict[str, Any]:
    reason = {"message": "Type is missing type annotation\n  Inferred type is int"}
    return {
        "name": name,
        "isTypeKnown": known,
        "isTypeAmbiguous": ambiguous,
        "diagnostics": [] if known and not ambiguous else [reason],
    }


def report(*symbols: dict[str, Any], general: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "generalDiagnostics": [{"message": text} for text in general],
        "typeCompleteness": {"symbols": list(symbols)},
    }


def test_names_with_known_types_are_no_problem() -> None:
    assert list(problems(report(symbol("a.b"), symbol("a.c")))) == []


def test_a_name_with_a_guessed_or_unknown_type_is_a_problem() -> None:
    found = list(problems(report(symbol("a.b", known=False), symbol("a.c", ambiguous=True))))
    assert found == [f"a.{name}: Type is missing type annotation" for name in "bc"]


def test_a_package_that_cannot_be_read_is_a_problem() -> None:
    assert list(problems(report(general=("No py.typed file found",)))) == ["No py.typed file found"]


def test_a_package_is_verified_as_it_is_installed(capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(by_name("channels-layers-memory"))
    assert "channels_layers_memory: 100.0% of " in capfd.readouterr().out


def test_a_package_that_is_not_there_is_not_verified(capfd: pytest.CaptureFixture[str]) -> None:
    assert not verify(Package("no-such-package"))
    assert "No py.typed file found" in capfd.readouterr().out


def test_programs_are_checked_strictly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    strict = (PROGRAMS / "pyrightconfig.json").read_text()
    (tmp_path / "pyrightconfig.json").write_text(strict)
    program = tmp_path / "program.py"
    monkeypatch.setattr(pyright, "PROGRAMS", tmp_path)
    monkeypatch.setattr(pyright, "ROOT", tmp_path)
    program.write_text("def double(number: int) -> int:\n    return number * 2\n")
    assert check_programs() == 0
    program.write_text("def double(number):\n    return number * 2\n")
    assert check_programs() == 1
    assert "reportMissingParameterType" in capfd.readouterr().out
