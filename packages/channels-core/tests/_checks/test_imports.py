from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.utils import autoreload

from channels_core._checks.imports import is_of_database, place, reason, watched


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports modules, by name and text, and returns what came of it."""
    monkeypatch.syspath_prepend(tmp_path)

    def fail(**modules: str) -> BaseException:
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        with pytest.raises((ImportError, NameError, SyntaxError, ValueError)) as caught:
            import_module(next(iter(modules)))
        return caught.value

    return fail


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NameError("name 'a' is not defined"), "NameError: name 'a' is not defined"),
        (ValueError("Two\n  lines."), "ValueError: Two lines"),
        (KeyError("hosts"), "KeyError: 'hosts'"),
        (RuntimeError(), "RuntimeError"),
        (SystemExit("no key"), "SystemExit: no key"),
        (SyntaxError("invalid syntax", ("a.py", 3, 1, "")), "SyntaxError: invalid syntax"),
        (
            ImproperlyConfigured("Cannot import it: no such module"),
            "Cannot import it: no such module",
        ),
    ],
)
def test_a_reason_in_one_line(error: BaseException, told: str) -> None:
    assert reason(error) == told


def test_the_line_that_raised(failed: Any, tmp_path: Path) -> None:
    error = failed(outer_module="\nimport inner_module", inner_module="\n\nmissing")
    assert place(error) == f" ({tmp_path / 'inner_module.py'}, line 3)"


def test_the_line_that_called_what_raised(failed: Any, tmp_path: Path) -> None:
    error = failed(calling_module="import json\njson.loads('{')")
    assert place(error) == f" ({tmp_path / 'calling_module.py'}, line 2)"


def test_the_line_that_cannot_be_read(failed: Any, tmp_path: Path) -> None:
    error = failed(outer_of_bad="import bad_module", bad_module="a = 1\nb = = 2")
    assert place(error) == f" ({tmp_path / 'bad_module.py'}, line 2)"


def test_no_line_where_the_program_has_none(failed: Any) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        import_module("no_such_module_anywhere")
    # The line of this test is a line of the program.
    assert place(caught.value.with_traceback(caught.tb.tb_next)) == ""
    assert place(SyntaxError("of an exec")) == ""


def test_a_failure_of_a_database_wherever_it_comes_from() -> None:
    cause = OperationalError("no such table")
    by_cause, by_context = ValueError(), ValueError()
    by_cause.__cause__ = RuntimeError()
    by_cause.__cause__.__cause__ = cause
    by_context.__context__ = cause
    assert all(map(is_of_database, (cause, by_cause, by_context)))
    assert not is_of_database(ValueError())


class TestAutoreloader:
    @pytest.fixture(autouse=True)
    def state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(autoreload, "_error_files", [])
        monkeypatch.setattr(autoreload, "_exception", None)
        monkeypatch.delenv("RUN_MAIN", raising=False)

    @pytest.mark.parametrize("runs", [False, True])
    def test_it_is_told_what_to_watch(
        self, failed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: bool
    ) -> None:
        if runs:
            monkeypatch.setenv("RUN_MAIN", "true")
        failed(unmended_module="missing")
        with pytest.raises(NameError):
            watched(lambda: import_module("unmended_module"))
        files = [str(tmp_path / "unmended_module.py")] if runs else []
        assert autoreload._error_files == files  # type: ignore[attr-defined] # what it watches

    def test_what_works_is_returned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert watched(lambda: 3) == 3
        monkeypatch.setenv("RUN_MAIN", "true")
        assert watched(lambda: 4) == 4
        assert autoreload._exception is None  # type: ignore[attr-defined] # nothing to raise later
