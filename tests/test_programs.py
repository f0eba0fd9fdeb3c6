"""Complete sites, written for `channels` as programs are, run by their own tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parent / "programs"


def manage(site: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    passed_on = {"PATH", "HOME", "TMPDIR"}
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *arguments],
        cwd=PROGRAMS / site,
        env={name: value for name, value in os.environ.items() if name in passed_on},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("site", sorted(path.name for path in PROGRAMS.iterdir() if path.is_dir()))
class TestEachSite:
    def test_its_checks_pass(self, site: str) -> None:
        done = manage(site, "check")
        assert done.returncode == 0, done.stderr

    def test_its_tests_pass(self, site: str) -> None:
        done = manage(site, "test")
        assert done.returncode == 0, done.stderr
        assert re.search(r"^Ran [1-9]\d* tests in .*\n\nOK\n", done.stderr, re.MULTILINE)
