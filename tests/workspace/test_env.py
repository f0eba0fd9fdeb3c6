import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools import env
from tools.env import check_pair, exclusive, folder, install, main, programs, stamp
from tools.packages import DJANGO, PYTHON, ROOT


@pytest.mark.parametrize("series", DJANGO)
def test_a_pair_that_works_has_no_problem(series: str) -> None:
    assert check_pair(PYTHON[-1], series) is None
    assert check_pair(DJANGO[series], series) is None


@pytest.mark.parametrize(
    ("python", "series", "problem"),
    [
        ((3, 10), "5.2", r"Python 3\.11 or newer is needed, and this is 3\.10"),
        ((3, 11), "6.1", r"Django 6\.1 needs Python 3\.12 or newer, and this is 3\.11"),
        ((3, 13), "4.2", r"DJANGO=4\.2 is not a supported series: choose one of 5\.2, 6\.0"),
    ],
)
def test_a_pair_that_does_not_work_is_explained(
    python: tuple[int, int], series: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (*python, 0, "final", 0))
    with pytest.raises(SystemExit, match=problem):
        main(["--django", series, "true"])


def test_each_combination_has_its_own_folder() -> None:
    assert folder("python3", (3, 11), "5.2") == ROOT / ".venv"
    assert folder("python3", (3, 13), "6.1") == ROOT / ".venv-3.13-django6.1"
    assert folder("/opt/bin/python3.13", (3, 13), "5.2") == ROOT / ".venv-3.13-django5.2"


def test_the_stamp_depends_on_the_series() -> None:
    assert stamp("5.2") == stamp("5.2")
    assert stamp("5.2") != stamp("6.1")


class TestInstall:
    @pytest.fixture
    def steps(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Record the steps instead of running them; the first one creates the folder."""
        found: list[str] = []

        def run(*command: str) -> None:
            found.append(" ".join(command))
            if "venv" in command:
                Path(command[-1]).mkdir(exist_ok=True)

        monkeypatch.setattr(env, "_run", run)
        monkeypatch.setattr(env, "_starts", lambda folder: folder.is_dir())
        return found

    def test_pins_come_first_and_with_hashes(self, steps: list[str], tmp_path: Path) -> None:
        install(tmp_path / "env", "5.2")
        made, pins, packages, check = steps
        assert "-m venv --clear" in made
        assert "--no-deps --require-hashes -r" in pins
        assert pins.endswith("constraints/django-5.2.txt")
        assert "--no-deps --no-build-isolation -e" in packages
        assert packages.count(" -e ") == 7
        assert check.endswith("pip --disable-pip-version-check check")

    def test_an_environment_that_is_up_to_date_is_not_changed(
        self, steps: list[str], tmp_path: Path
    ) -> None:
        install(tmp_path / "env", "5.2")
        steps.clear()
        install(tmp_path / "env", "5.2")
        assert steps == []

    def test_an_outdated_environment_is_updated(self, steps: list[str], tmp_path: Path) -> None:
        install(tmp_path / "env", "5.2")
        steps.clear()
        install(tmp_path / "env", "6.1")
        assert [step for step in steps if "-m venv" in step] == []
        assert len(steps) == 3


class TestExclusive:
    def test_another_process_stays_out_until_the_block_ends(self, tmp_path: Path) -> None:
        lock = tmp_path / "env.lock"
        enter = f"from tools.env import exclusive\nwith exclusive({str(lock)!r}, 0): pass"
        command = [sys.executable, "-c", enter]
        with exclusive(lock):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert "database is locked" in done.stderr
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0

    def test_it_ends_with_a_failure_too(self, tmp_path: Path) -> None:
        lock = tmp_path / "env.lock"
        with pytest.raises(SystemExit), exclusive(lock):
            raise SystemExit
        with exclusive(lock, 0):
            pass

    def test_a_thread_stays_out_as_well(self, tmp_path: Path) -> None:
        lock = tmp_path / "env.lock"
        with exclusive(lock), pytest.raises(sqlite3.OperationalError), exclusive(lock, 0):
            pass


class TestOnWindows:
    """The parts of it that can be tested on other systems."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(env, "os", SimpleNamespace(name="nt"))

    def test_programs_are_in_another_folder(self) -> None:
        assert programs(Path("env")) == Path("env/Scripts")

    def test_the_command_gives_its_status(self) -> None:
        with pytest.raises(SystemExit) as ended:
            env._become([sys.executable, "-c", "raise SystemExit(3)"])
        assert ended.value.code == 3

    def test_an_unknown_command_is_named(self) -> None:
        with pytest.raises(SystemExit, match="There is no command 'no-such-command'"):
            env._become(["no-such-command"])


def test_a_failed_step_ends_with_the_command() -> None:
    with pytest.raises(SystemExit, match=r"step of the set-up failed: .* raise SystemExit\(3\)"):
        env._run(sys.executable, "-c", "raise SystemExit(3)")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


class TestMakefile:
    def test_help_lists_each_target(self) -> None:
        listed = {line.split()[0] for line in make("help").stdout.splitlines()}
        assert listed >= {
            *("help", "install", "demo", "test", "lint", "types", "imports"),
            *("isolated", "traced", "build", "docs", "lock", "ci", "clean"),
        }

    @pytest.mark.parametrize("target", ["install", "demo", "test", "lint", "ci"])
    def test_an_interpreter_that_does_not_start_is_explained(self, target: str) -> None:
        done = make(target, "PYTHON=no-such-python")
        first, _ = done.stderr.splitlines()
        assert done.returncode
        assert first.startswith("PYTHON=no-such-python is not a working Python 3.11 or newer")

    def test_an_unknown_series_is_explained(self) -> None:
        done = make("test", f"PYTHON={sys.executable}", "DJANGO=1.11")
        assert done.returncode
        assert done.stderr.startswith("DJANGO=1.11 is not a supported series")
