"""Complete sites, written for `channels` as programs are, run by their own tests."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_server import require_redis

PROGRAMS = Path(__file__).resolve().parent / "programs"


#: The programs with layers, each with those of its tests that look into the layer in memory.
ON_REDIS = {
    "beacon": set(),
    "guestbook": set(),
    "lobby": {"test_both_colours_hear_what_is_said"},
    "parlour": {"test_arguments_of_the_route", "test_groups_on_another_layer"},
    "switchboard": set(),
    "workshop": set(),
}


def manage(site: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    passed_on = {"PATH", "HOME", "TMPDIR"}
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *arguments],
        cwd=PROGRAMS / site,
        env={name: value for name, value in os.environ.items() if name in passed_on} | env,
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


@pytest.fixture
def redis_url() -> Iterator[str]:
    with require_redis() as url:
        yield url


@pytest.mark.parametrize("site", ON_REDIS)
def test_its_tests_pass_on_our_redis_layer(site: str, redis_url: str) -> None:
    done = manage(
        site,
        "test",
        "--settings=on_redis",
        PYTHONPATH=str(PROGRAMS.parent),
        PROGRAM_SETTINGS=f"{site}.settings",
        LAYER_REDIS_URL=redis_url,
    )
    assert re.search(r"^Ran [1-9]\d* tests in ", done.stderr, re.MULTILINE), done.stderr
    failed = set(re.findall(r"^(?:ERROR|FAIL): (\w+)", done.stderr, re.MULTILINE))
    assert failed == ON_REDIS[site], done.stderr
