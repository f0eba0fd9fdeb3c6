"""Sessions that end while others save them: see `hostile.logout_races`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("engine", ["cache over files", "file"])
def test_no_save_undoes_a_logout(engine: str) -> None:
    arguments = ["--engine", engine, "--tries", "3", "--way", "save", "--way", "asave"]
    races = subprocess.run(
        [sys.executable, "-m", "hostile.logout_races", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert races.returncode == 0, races.stderr
    assert races.stdout == f"| {engine} | 0 | 0 |\n"
